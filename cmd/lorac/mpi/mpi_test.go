package mpi

import (
	"slices"
	"testing"
)

// What launchers say of themselves, by version.
func TestParse(t *testing.T) {
	for text, want := range map[string]Launcher{
		"mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n": {Family: OpenMPI, Version: "4.1.4"},
		"mpirun.openmpi (OpenRTE) 4.1.4\n": {Family: OpenMPI, Version: "4.1.4"},
		"mpirun (Open MPI) 5.0.11\n":       {Family: OpenMPI, Version: "5.0.11"},
		"prterun (PRRTE) 3.0.9\n":          {Family: OpenMPI, Version: "5"},
		"HYDRA build details:\n    Version:                                 4.0.2\n    Release Date:                            Thu": {Family: MPICH, Version: "4.0.2"},
		"Intel(R) MPI Library for Linux* OS, Version 2021.18 Build 20260112 (id: 74c4a23)\nCopyright 2003-2026, Intel Corporation.":  {Family: Intel, Version: "2021.18"},
		"slurm 23.02.7\n": {Family: Slurm, Version: "23.02.7"},
		"usage: mpirun\n": {},
	} {
		if got := parse(text); got != want {
			t.Errorf("%q is %+v, want %+v", text, got, want)
		}
	}
}

func TestArgs(t *testing.T) {
	for _, c := range []struct {
		l    Launcher
		want []string
	}{
		{Launcher{"mpirun", OpenMPI, "4.1.4"}, []string{"--oversubscribe", "--bind-to", "none", "-n", "8"}},
		{Launcher{"mpirun", OpenMPI, "5.0.11"}, []string{"--map-by", ":OVERSUBSCRIBE", "-n", "8"}},
		{Launcher{"mpiexec", MPICH, "4.0.2"}, []string{"-bind-to", "none", "-n", "8"}},
		{Launcher{"srun", Slurm, "23"}, []string{"--cpu-bind=none", "-n", "8"}},
	} {
		args, _ := c.l.Args(8, "trainer", "-n", "9")
		for _, w := range c.want {
			if !slices.Contains(args, w) {
				t.Errorf("%v: %q lacks %q", c.l, args, w)
			}
		}
		if args[0] != c.l.Path || !slices.Equal(args[len(args)-5:], []string{"-n", "8", "trainer", "-n", "9"}) {
			t.Errorf("%v: %q", c.l, args)
		}
	}
}
