package rt

import (
	"bytes"
	"errors"
	"lorac/runtime/comm"
	"math"
	"strings"
	"testing"

	"lorac/runtime/exit"
)

// remote is a device with a memory of its own: what trains there reaches stacks
// only when they are pulled.
type remote struct {
	memory map[*Stack][]float32
	pulls  int
	closed bool
	gone   bool // the next that is pulled is not there
}

var errRemote = errors.New("the device is lost")

func (d *remote) Open(*Job, *Options) (string, error) { return "on a device of tests", nil }

func (d *remote) Pull(stacks ...*Stack) {
	for _, s := range stacks {
		d.pulls++
		if d.gone {
			panic(errRemote)
		}
		copy(s.Data, d.memory[s])
	}
}

// take moves a stack to the device, and leaves what nobody should read.
func (d *remote) take(s *Stack) []float32 {
	x := append([]float32(nil), s.Data...)
	for i := range s.Data {
		s.Data[i] = float32(math.NaN())
	}
	d.memory[s] = x
	return x
}

func (d *remote) Norm(grads ...*Stack) float64 {
	sum := 0.0
	for _, g := range grads {
		for _, x := range d.memory[g] {
			sum += float64(x) * float64(x)
		}
	}
	return math.Sqrt(sum)
}

func (d *remote) Scale(by float64, grads ...*Stack) {
	for _, g := range grads {
		for i := range d.memory[g] {
			d.memory[g][i] *= float32(by)
		}
	}
}

func (d *remote) Gradients([][]float32) [][]float32 { panic("BUG: not of this test") }
func (d *remote) Memory(*Loader) comm.Memory        { panic("BUG: not of this test") }

func (d *remote) Clear(grads ...*Stack) {
	for _, g := range grads {
		clear(d.memory[g])
	}
}

func (d *remote) Fault(recovered any) error {
	if recovered == errRemote {
		return errRemote
	}
	return nil
}

func (d *remote) Close() { d.closed = true }

// remoteBody is body on the device, which is lost in step lost; below zero, it is
// when something is pulled after that step.
func remoteBody(d *remote, lost, spoil int) func(r *Run) error {
	return func(r *Run) error {
		m := &toy{}
		m.x = r.Trainable([]string{"model.norm_out.weight"}, 4, 0, Init{Kind: "uniform", Bound: 1})
		m.grad, m.state = r.Grad(m.x), r.State(m.x, "m")
		if err := r.Loaded(); err != nil {
			return err
		}
		there := &toy{x: &Stack{Data: d.take(m.x)}, grad: &Stack{Data: d.take(m.grad)}, state: &Stack{Data: d.take(m.state)}}
		if err := r.Begin(there.loss); err != nil {
			return err
		}
		for r.Next() {
			norm := 0.0
			for _, b := range r.MicroBatches() {
				r.Add(there.step(b))
			}
			if r.Update() == lost {
				panic(errRemote)
			}
			d.gone = d.gone || r.Update() == -lost
			if r.Update() == spoil {
				spoil = never
				there.grad.Data[0] = float32(math.Inf(1))
			}
			if r.Ready() {
				norm = there.update(r.LR())
			}
			r.Done(norm, there.loss)
		}
		return r.Finish(there.loss)
	}
}

func onDevice(j *Job, lost, spoil int, args ...string) (string, *remote, error) {
	d, out := &remote{memory: map[*Stack][]float32{}}, bytes.Buffer{}
	err := ExecuteOn(d, j, args, &out, remoteBody(d, lost, spoil))
	return out.String(), d, err
}

// A run on a device with a memory of its own leaves what one on this processor
// leaves: metrics, checkpoints of both formats that resume, and the model.
func TestDevice(t *testing.T) {
	j := toyJob(t)
	plain, there := t.TempDir(), t.TempDir()
	if said, err := execute(j, body(never), "--output_dir", plain); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	said, d, err := onDevice(j, never, never, "--output_dir", there)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if !strings.Contains(said, "toy (toy.yaml): train, on a device of tests") || !d.closed || d.pulls == 0 {
		t.Errorf("closed %v, %d pulls\n%s", d.closed, d.pulls, said)
	}
	want := result(t, plain)
	if result(t, there) != want {
		t.Error("a device gives another result")
	}
	for i, format := range []string{"lorac", "ckpt", "lorac", "ckpt"} {
		args := []string{"--output_dir", t.TempDir(), "--checkpoint_format", format}
		said, _, err := onDevice(j, []int{8, 8, -8, -8}[i], never, args...)
		if exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), "the device is lost\n  = help: resume with --resume_training True: checkpoints up to step 6 are good") {
			t.Fatalf("a fault: %v\n%s", err, said)
		}
		if said, _, err := onDevice(j, never, never, append(args, "--resume_training", "True")...); err != nil || !strings.Contains(said, "resumed after step 6") {
			t.Fatalf("%v\n%s", err, said)
		}
		if result(t, args[1]) != want {
			t.Errorf("%s: the result of a run that lost its device is another", format)
		}
	}
}

// Gradients that are not finite are seen, and cleared, where they are.
func TestDeviceOverflow(t *testing.T) {
	j := toyJob(t)
	said, d, err := onDevice(j, never, 3, "--output_dir", t.TempDir())
	if err != nil || !strings.Contains(said, "gradients are not finite at loss scale") {
		t.Errorf("%v\n%s", err, said)
	}
	for s, x := range d.memory {
		for _, v := range x {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Errorf("%v on the device after the run: %v", s.Names, x)
			}
		}
	}
}

// A panic that is no fault of the device stays one.
func TestDevicePanics(t *testing.T) {
	defer func() {
		if e := recover(); e != "a bug" {
			t.Errorf("recovered %v", e)
		}
	}()
	j := toyJob(t)
	j.Output = t.TempDir()
	ExecuteOn(&remote{}, j, nil, &bytes.Buffer{}, func(*Run) error { panic("a bug") }) //nolint:errcheck // it panics
}

// A trainer runs on what it was compiled for.
func TestDeviceFlag(t *testing.T) {
	for _, c := range []struct{ compiled, asked, words string }{
		{"", "auto", ""}, {"", "cpu", ""}, {"ascend", "ascend", ""}, {"ascend", "auto", ""},
		{"", "ascend", "this trainer was compiled for the CPU\n  = help: lorac compile --device ascend"},
		{"ascend", "cpu", "this trainer was compiled for Ascend"},
		{"", "gpu", "must be auto, cpu or ascend"},
	} {
		_, err := parseFlags(&Job{Name: "toy", Device: c.compiled}, []string{"--device", c.asked})
		if (err == nil) != (c.words == "") || err != nil && (exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("--device %s of a trainer for %q: %v", c.asked, c.compiled, err)
		}
	}
	if err := CheckFlags("finetune", []string{"--device", "ascend", "--device_id", "3"}); err != nil {
		t.Error(err)
	}
	if err := CheckFlags("finetune", []string{"--device_id", "-1"}); exit.Code(err) != exit.Usage {
		t.Errorf("a negative card: %v", err)
	}
}
