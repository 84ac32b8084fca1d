//go:build linux

package main

import (
	"fmt"
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
		for i, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTERM} {
			for rank := range 4 {
				if (rank+i)%2 == 1 && sig != syscall.SIGKILL || sig == syscall.SIGTERM && rank > 0 {
					continue
				}
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
