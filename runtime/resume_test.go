package rt

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// entriesOf are tensors for a .ckpt, under MindFormers' names.
func entriesOf(x map[string]blob) (out []mindspore.Entry) {
	for name, s := range x {
		if mf := naming.MindFormers(name); mf != "" {
			name = mf
		}
		out = append(out, mindspore.Entry{Name: name, DType: s.dtype, Shape: s.shape, Write: mindspore.Bytes(s.data)})
	}
	return out
}

// Checkpoints of MindFormers' kind hold the base as well: they are resumed from,
// evaluated, and the oldest are removed.
func TestMindsporeCheckpoints(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	j.Checkpoint.Format, j.Checkpoint.Network, j.Checkpoint.Trainable = "ckpt", true, true
	whole := must(t, j, model.body)
	trained, untrained := outcomes(t, whole)
	rank0 := filepath.Join(j.Output, "checkpoint", "rank_0")
	var names []string
	list, _ := filepath.Glob(filepath.Join(rank0, "*.ckpt"))
	for _, f := range list {
		names = append(names, filepath.Base(f))
	}
	if got := strings.Join(names, " "); got != "toy_rank_0-3_2.ckpt toy_rank_0-3_5.ckpt" { // steps 12 and 15 of five an epoch
		t.Errorf("of checkpoints %s are left", got)
	}
	var last meta
	text, err := os.ReadFile(filepath.Join(rank0, "meta.json"))
	if err != nil || json.Unmarshal(text, &last) != nil || last != (meta{3, 5, "toy_rank_0-3_5.ckpt"}) {
		t.Errorf("meta.json is %s, %v", text, err)
	}
	network := filepath.Join(j.Output, "checkpoint_network", "rank_0", "toy_rank_0-network.ckpt")
	f, err := mindspore.Open(network)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range tensors() {
		if got, ok := f.Tensor(naming.MindFormers(name)); !ok || string(got.Data) != string(x.data) {
			t.Errorf("%s is not in the network as the base had it", name)
		}
	}
	f.Close()
	if f, err = mindspore.Open(filepath.Join(j.Output, "checkpoint_trainable", "rank_0", "toy_rank_0-trainable_params.ckpt")); err != nil || len(f.Names()) != 2 {
		t.Errorf("%v trains, %v", f, err)
	}
	f.Close()
	said := must(t, j, model.body, "--run_mode", "eval", "--load_checkpoint", network)
	if got := evaluated(t, said); got != trained || strings.Contains(said, "no --load_adapter") {
		t.Errorf("the network gives %s, training ended with %s\n%s", got, trained, said)
	}

	// A run in another directory continues from load_checkpoint: its directory,
	// a file of it that is named, and a file itself.
	for _, from := range [][]string{
		{"--load_checkpoint", filepath.Join(j.Output, "checkpoint"), "--resume_training", "True"},
		{"--load_checkpoint", filepath.Join(j.Output, "checkpoint"), "--resume_training", "toy_rank_0-3_2.ckpt"},
		{"--load_checkpoint", filepath.Join(rank0, "toy_rank_0-3_2.ckpt"), "--resume_training", "True"},
	} {
		step := 12
		if from[1] == filepath.Join(j.Output, "checkpoint") && from[3] == "True" {
			step = 15
		}
		said = must(t, j, model.body, append(from, "--output_dir", t.TempDir())...)
		wordsIn(t, said, fmt.Sprintf("resumed after step %d, from %s", step, rank0), "evaluation after training: "+trained)
	}
	// A network has no counters: it is a base, and the run starts.
	said = must(t, j, model.body, "--load_checkpoint", network, "--resume_training", "True", "--output_dir", t.TempDir(), "--steps", "1")
	wordsIn(t, said, "starting from the beginning", "evaluation before training: "+trained)
	refused(t, j, model.body, exit.Input, "nothere.ckpt is not there", "--resume_training", "nothere.ckpt")
	if err := os.WriteFile(filepath.Join(rank0, "meta.json"), []byte(`{"last_ckpt_file":"../x.ckpt"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, "meta.json does not name a checkpoint", "--resume_training", "True")
	if err := os.Remove(filepath.Join(rank0, "meta.json")); err != nil {
		t.Fatal(err)
	}
	said = must(t, j, model.body, "--resume_training", "True") // the newest, then
	wordsIn(t, said, "resumed after step 15", "all 15 steps are done already")
	if untrained == trained {
		t.Error("nothing was trained")
	}
}

// What MindFormers wrote is resumed: its counters are read, and steps of other
// batches count by their rows.
func TestForeignCheckpoint(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	entries := func(drop string, more ...mindspore.Entry) []mindspore.Entry {
		x := tensors()
		x[factorA], x[factorB] = f32(factorA, rank, width), f32(factorB, width, rank)
		x["moments."+factorA], x["moments."+factorB] = f32("ma", rank, width), f32("mb", width, rank)
		delete(x, drop)
		return append(entriesOf(x), more...)
	}
	file := filepath.Join(t.TempDir(), "theirs.ckpt")
	save := func(e []mindspore.Entry) {
		t.Helper()
		if err := mindspore.Write(file, e, true); err != nil {
			t.Fatal(err)
		}
	}
	save(entries("", mindspore.Int("step_num", 4), mindspore.Int("global_step", 3), mindspore.Int("global_batch_size", 4), mindspore.Float("loss_scale", 64),
		mindspore.Int("current_iterator_step", 5), mindspore.Int("last_overflow_iterator_step", 2)))
	looked := false
	model.look = func(r *Run, m *adapted) {
		looked = true
		if x := r.scaler; r.step != 8 || x.Updates != 6 || x.Scale != 64 || x.Iter != 5 || x.Last != 2 {
			t.Errorf("step %d, %+v", r.step, x)
		}
		if string(peft.Bytes(m.b.Vec(0))) != string(f32(factorB, width, rank).data) || string(peft.Bytes(m.stateA.Vec(0))) != string(f32("ma", rank, width).data) {
			t.Error("the numbers of the checkpoint are not those of the run")
		}
	}
	args := []string{"--load_checkpoint", file, "--resume_training", "True", "--steps", "9"}
	said := must(t, j, model.body, args...)
	wordsIn(t, said, "steps were of 4 rows, now they are of 2: step 4 is step 8", "resumed after step 8")
	if !looked {
		t.Error("the model was not loaded")
	}
	model.look = nil
	args = append(args, "--output_dir", t.TempDir())
	save(entries("moments."+factorB, mindspore.Int("step_num", 4)))
	refused(t, j, model.body, exit.Input, "it lacks moments."+factorB, args...)
	save(entries("", mindspore.Int("step_num", 0)))
	refused(t, j, model.body, exit.Input, "its step_num is 0", args...)
	save(append(entries("moments."+factorB, mindspore.Int("step_num", 4)), mindspore.Entry{Name: "moments." + factorB, DType: "F32", Shape: []int{2}, Write: mindspore.Bytes(make([]byte, 8))}))
	refused(t, j, model.body, exit.Input, "(it is F32 [2], not [32 2])", args...)
	save(entries("", mindspore.Int("step_num", 4), mindspore.Text(jobEntry, "another@"+"0.1.0 seed=1 batch=1×1 data=1/1")))
	refused(t, j, model.body, exit.Input, "was made by another job", args...)
}

// Our own checkpoints: named, of an older release, of another shape, damaged.
func TestOwnCheckpoints(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	must(t, j, model.body, "--steps", "9")
	dir := filepath.Join(j.Output, "checkpoint")
	list, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(list) != 2 { // of steps 3, 6 and 9
		t.Errorf("keep_checkpoint_max 2 keeps %v", list)
	}
	refused(t, j, model.body, exit.Input, "there are: toy-9.safetensors toy-6.safetensors", "--resume_training", "toy-7.safetensors")
	f, err := safetensors.Open(filepath.Join(dir, "toy-6.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	said := must(t, j, model.body, "--resume_training", "toy-6.safetensors", "--steps", "7") // which drops that of step 6
	wordsIn(t, said, "resumed after step 6")
	rewrite := func(name string, meta map[string]string, drop string) {
		t.Helper()
		c := &checkpoints{job: j}
		x := map[string][]byte{}
		for _, n := range f.Names() {
			if t, _ := f.Tensor(n); n != drop {
				x[n] = t.Data
			}
		}
		m := maps.Clone(f.Metadata)
		maps.Copy(m, meta)
		m["crc32"] = checksum(m, x)
		var entries []safetensors.Entry
		for n, data := range x {
			entries = append(entries, safetensors.Entry{Name: n, DType: "F32", Shape: []int{len(data) / 4}, Write: safetensors.Bytes(data)})
		}
		if err := safetensors.Write(filepath.Join(c.dir(), name), entries, m); err != nil {
			t.Fatal(err)
		}
	}
	for release, job := range map[string]string{"before 0.1.0": "ffff seed=5 batch=2×1 data=10/40", "0.1.0": "ffff@0.1.0 seed=5 batch=2×1 data=10/40"} {
		rewrite("old-6.safetensors", map[string]string{"job": job, "loss_scale": ""}, "")
		said = must(t, j, model.body, "--resume_training", "old-6.safetensors", "--steps", "7")
		wordsIn(t, said, "the checkpoint was written by lorac "+release+": it knows seed, batch size and numbers of rows", "resumed after step 6")
		refused(t, j, model.body, exit.Input, "seed: 5 in the checkpoint, 6 now", "--resume_training", "old-6.safetensors", "--seed", "6")
		said = must(t, j, model.body, "--resume_training", "old-6.safetensors", "--batch_size", "4", "--output_dir", copyOf(t, j.Output), "--steps", "4")
		wordsIn(t, said, "steps were of 2 rows, now they are of 4: step 6 is step 3", "resumed after step 3")
	}
	for words, write := range map[string]func(){
		"it names no step":                     func() { rewrite("bad-6.safetensors", map[string]string{"step": "0"}, "") },
		"it lacks param." + factorB:            func() { rewrite("bad-6.safetensors", nil, "param."+factorB) },
		"its loss scale \"1 2\" has 2 numbers": func() { rewrite("bad-6.safetensors", map[string]string{"loss_scale": "1 2"}, "") },
		"it does not say of which job it is":   func() { rewrite("bad-6.safetensors", map[string]string{"job": "ffff seed=9"}, "") },
		"it does not say how many rows":        func() { rewrite("bad-6.safetensors", map[string]string{"job": "{}"}, "") },
		"what it knows of its run":             func() { rewrite("bad-6.safetensors", map[string]string{"job": "{"}, "") },
	} {
		write()
		refused(t, j, model.body, exit.Input, words, "--resume_training", "bad-6.safetensors")
	}
	for _, n := range []int{6, 7} {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("toy-%d.safetensors", n)), []byte("no checkpoint"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, j, model.body, exit.Input, "is usable: ", "--resume_training", "True")
}

// copyOf is a copy of a directory.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// checksum is that of a checkpoint of ours.
func checksum(meta map[string]string, tensors map[string][]byte) string {
	sum := crc32.NewIEEE()
	io.WriteString(sum, meta["step"]+" "+meta["job"]+meta["loss_scale"])
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		sum.Write(tensors[name])
	}
	return fmt.Sprintf("%08x", sum.Sum32())
}
