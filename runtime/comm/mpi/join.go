package mpi

import (
	"fmt"
	"os"
	"time"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// Join makes this process a rank of the job whose launcher started it. Without a
// launcher, or with one of a single process, it opens no library and returns
// comm.Alone. It is called once.
//
// One rank reports what is wrong; the others return comm.Quiet with the same code.
// After an error the process ends by os.Exit.
//
// The library is called by a thread of its own, which needs a processor while kernels
// have all: the caller raises GOMAXPROCS by one, once it has counted the processors.
func Join(o comm.Options) (comm.Transport, error) {
	l := comm.Launched()
	if l.Family == "" || l.Size == 1 {
		return comm.Alone(os.Exit), nil
	}
	t, err := join(l, o)
	if err != nil && l.Rank != 0 {
		time.Sleep(time.Second) // the launcher ends the others when the first one ends
		return nil, comm.Quiet{Code: exit.Code(err), Err: err}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func join(l comm.Launch, o comm.Options) (*engine, error) {
	lib, err := open(l)
	if err != nil {
		return nil, exit.Inputf("the launcher of %s started this program, but no MPI library can be used:\n  %w\n"+
			"= help: install the launcher's library (Debian: openmpi-bin or mpich), or name it: LORAC_MPI=/path/%s", l.Family, err, names(l.Family)[0])
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = comm.DefaultTimeout
	}
	e, err := newEngine(lib, timeout)
	if err != nil {
		return nil, exit.Failedf("%v: %w", lib, err)
	}
	if l.Size > 0 && e.n != l.Size {
		return nil, exit.Inputf("the launcher of %s started %d processes, but the library sees %d: %v is of another MPI\n%s",
			l.Family, l.Size, e.n, lib, help(l, lib))
	}
	return e, nil
}

// help is the way out where launcher and library do not belong together.
func help(l comm.Launch, lib *library) string {
	if l.Family == "Slurm" {
		return "= help: srun --mpi=pmix (Open MPI) or srun --mpi=pmi2 (MPICH, Intel MPI), or the library's own mpirun inside the allocation"
	}
	text := fmt.Sprintf("= help: start it with the launcher of %s", lib.product)
	if os.Getenv("LORAC_MPI") != "" {
		return text + ", or unset LORAC_MPI"
	}
	return text + fmt.Sprintf(", or name the library of %s: LORAC_MPI=/path/%s", l.Family, names(l.Family)[0])
}
