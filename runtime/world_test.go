package rt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/runtime/comm"
	"lorac/runtime/comm/local"
	"lorac/runtime/exit"
	"lorac/runtime/sys/signals"
	"lorac/runtime/train"
)

// processes runs a job in as many processes, as goroutines of this one, and gives what
// the first said and how each ended. asked, unless nil, stops the stop of a process.
func processes(t *testing.T, n int, j *Job, body func(rank int) func(*Run) error, args ...string) (said string, ends []error) {
	t.Helper()
	out := make([]bytes.Buffer, n)
	ends = make([]error, n)
	_, err := local.Run(n, func(tr comm.Transport) error {
		g, err := comm.New(tr, comm.Options{Timeout: 2 * time.Second, Fault: func(error) {}})
		if err != nil {
			return err
		}
		s := newStop()
		w := &world{g: g, stop: s}
		w.countHere()
		s.many, s.first = true, w.first()
		p := process{args: args, out: train.NewReporter(&out[w.rank()]), stop: s, world: w, command: "again"}
		ends[w.rank()] = p.run(j, body(w.rank()))
		if ends[w.rank()] != nil && !w.failed && !errors.As(ends[w.rank()], new(*signals.Ended)) {
			g.Abort(exit.Failed)
			return nil
		}
		return g.Close()
	})
	if err != nil {
		t.Fatalf("%d processes: %v\n%s", n, err, out[0].String())
	}
	for r := 1; r < n; r++ {
		if out[r].Len() > 0 {
			t.Errorf("process %d of %d says: %s", r, n, out[r].String())
		}
	}
	return out[0].String(), ends
}

// devicesJob is the toy's job on 8 devices.
func devicesJob(t *testing.T) *Job {
	j := toyJob(t)
	j.BatchSize = 1
	j.Devices = Devices{Count: 8, Mode: "semi", FullBatch: true, Replicas: 8}
	j.LogFormat = ""
	return j
}

func same(int) func(*Run) error { return body(never) }

// A job of 8 devices comes to the same bits on any number of processes, those that
// have no unit among them; so does one of a single device, and one that says its units.
func TestProcessesSameBits(t *testing.T) {
	for _, devices := range []int{8, 3, 1, -4} {
		j := devicesJob(t)
		j.Devices.Count, j.Devices.Replicas = devices, devices
		if devices < 0 {
			j.Devices, j.BatchSize = Devices{Units: -devices}, 4
		}
		alone := t.TempDir()
		if said, err := execute(j, body(never), "--output_dir", alone); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		want := result(t, alone)
		for _, n := range []int{2, 3, 5, 8, 9} {
			dir := t.TempDir()
			said, ends := processes(t, n, j, same, "--output_dir", dir)
			if err := errors.Join(ends...); err != nil {
				t.Fatalf("%d devices, %d processes: %v\n%s", devices, n, err, said)
			}
			if got := result(t, dir); got != want {
				t.Errorf("%d devices, %d processes:\n%q\none process:\n%q", devices, n, got, want)
			}
		}
	}
}

// A run that is asked to stop in one process stops in all, after the same step, and
// resumes on another number of processes with the bits of one that was not disturbed.
func TestProcessesStopAndResume(t *testing.T) {
	j := devicesJob(t)
	alone, dir := t.TempDir(), t.TempDir()
	if said, err := execute(j, body(never), "--output_dir", alone); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	_, ends := processes(t, 3, j, func(rank int) func(*Run) error {
		return func(r *Run) error {
			return body(never, func(step int) {
				if rank == 2 && step == 3 {
					r.stop.take(syscall.SIGTERM)
				}
			})(r)
		}
	}, "--output_dir", dir)
	for rank, err := range ends {
		if ended := (*signals.Ended)(nil); !errors.As(err, &ended) {
			t.Fatalf("process %d ended with %v", rank, err)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "metrics.jsonl")); !strings.Contains(string(text), `"step":4,"stopped":"SIGTERM"`) {
		t.Errorf("it did not stop after step 4: %s", text)
	}
	said, ends := processes(t, 5, j, same, "--output_dir", dir, "--resume_training", "True")
	if err := errors.Join(ends...); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "resumed after step") {
		t.Errorf("it does not resume:\n%s", said)
	}
	stopped := regexp.MustCompile(`\{"step":4,"stopped".*\n`)
	if got, want := stopped.ReplaceAllString(result(t, dir), ""), result(t, alone); got != want {
		t.Errorf("resumed %q, undisturbed %q", got, want)
	}
}

// What is wrong in one process is an error of all, which the first one says; what
// differs between them is named with both values.
func TestProcessesDiffer(t *testing.T) {
	j := devicesJob(t)
	_, ends := processes(t, 3, j, func(rank int) func(*Run) error {
		return func(r *Run) error {
			if rank == 1 {
				r.job.Seed = 77
			}
			return body(never)(r)
		}
	}, "--output_dir", t.TempDir())
	if exit.Code(ends[0]) != exit.Input || !strings.Contains(ends[0].Error(), "seed") || !strings.Contains(ends[0].Error(), "77") {
		t.Errorf("another seed: %v", ends[0])
	}
	for rank, err := range ends[1:] {
		if exit.Code(err) != exit.Input {
			t.Errorf("process %d ends with %v", rank+1, err)
		}
	}
}
