//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
)

// A process of a mesh that is killed or stopped ends the run, and what is resumed on
// other processes has the bits of a run that was not disturbed. One that is asked to end
// does so after a step, with a checkpoint of it.
func TestPipelineFaults(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, map[string]string{"runner_config.epochs": "40"})
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for sig, ranks := range map[syscall.Signal][]int{syscall.SIGKILL: {1, 3}, syscall.SIGSTOP: {2}, syscall.SIGTERM: {0}} {
			for _, rank := range ranks {
				t.Run(fmt.Sprint(sig, " to ", rank), func(t *testing.T) {
					r := x.start(t, l, 4, filepath.Join(t.TempDir(), "out"), nil, "--mesh", "dp=2,pp=2")
					r.steps(30 + rank)
					pid := r.pid(rank)
					if sig == syscall.SIGTERM {
						pid = r.cmd.Process.Pid
					}
					syscall.Kill(pid, sig)
					code, said := r.end(time.Minute), r.said.String()
					switch {
					case sig == syscall.SIGTERM:
						if !strings.Contains(said, "checkpoint and adapter are saved") {
							t.Errorf("code %d\n%s", code, said)
						}
					case code != 3 || !strings.Contains(said, "error: "):
						t.Errorf("code %d\n%s", code, said)
					}
					r.resume(l, 1+rank)
				})
			}
		}
	})
}

// A step of a mesh that is given up loses nothing that was finished: what each process
// has of it is brought together beside the run.
func TestMeshGrace(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, map[string]string{"runner_config.epochs": "40"})
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for i, mesh := range []string{"pp=3", "dp=2,pp=2", "pp=2,mp=2", "dp=2,mp=2", "os=3", "dp=4,os=2"} {
			n := []int{3, 4, 4, 4, 3, 4}[i]
			given := 0
			for at := range 3 {
				r := x.start(t, l, n, filepath.Join(t.TempDir(), "out"), nil, "--mesh", mesh, "--grace", "0", "--timeout", "20", "--save_checkpoint_steps", "1000000")
				r.steps(10 + 17*at)
				time.Sleep(time.Duration(at) * time.Millisecond)
				syscall.Kill(r.cmd.Process.Pid, syscall.SIGTERM)
				r.end(time.Minute)
				said := r.said.String()
				if !strings.Contains(said, "stopped by SIGTERM after step ") {
					t.Fatalf("%s: it loses steps\n%s", mesh, said)
				}
				text, err := os.ReadFile(filepath.Join(r.out, "metrics.jsonl"))
				x.must(err)
				step := fmt.Sprintf("step %d of", strings.Count(string(text), `"loss":`))
				if !strings.Contains(said, step) {
					t.Errorf("%s: metrics have %s\n%s", mesh, step, said)
				}
				if strings.Contains(said, "was given up") {
					given++
				}
				if at == 0 && !strings.Contains(mesh, "mp") {
					r.resume(l, 2)
				}
			}
			t.Logf("%s: %d of 3 steps were given up", mesh, given)
		}
	})
}
