package rt

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/kernels"
	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/weights/peft"
)

// rowsIn writes rows of ids, one for each list.
func rowsIn(t *testing.T, rows ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	text := ""
	for _, r := range rows {
		text += fmt.Sprintf("{\"input_ids\": [%s]}\n", r)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the result depends on is compared, and what differs is named with both values,
// in both formats of checkpoints.
func TestResumeCompares(t *testing.T) {
	for _, format := range []string{"safetensors", "ckpt"} {
		j, model := adaptedJob(t), shapeOf{}
		j.Keys = []string{"optimizer.weight_decay=0", "optimizer.type=AdamW"}
		rows := []string{"1, 4, 5, 6", "1, 5, 6, 7", "1, 6, 7, 8", "1, 7, 8, 9", "1, 8, 9, 10", "1, 9, 10, 11"}
		j.TrainData.Path = rowsIn(t, rows...)
		must(t, j, model.body, "--steps", "3", "--checkpoint_format", format)
		resume := func(change func(j *Job), args ...string) (string, error) {
			other := *j
			other.Output = copyOf(t, j.Output)
			if change != nil {
				change(&other)
			}
			return execute(&other, model.body, append([]string{"--resume_training", "True", "--steps", "4", "--checkpoint_format", format}, args...)...)
		}
		base := tensors()
		weights := base["model.layers.0.self_attn.q_proj.weight"]
		weights.data = append([]byte(nil), weights.data...)
		weights.data[len(weights.data)/2] ^= 1
		base["model.layers.0.self_attn.q_proj.weight"] = weights
		one := write(t, filepath.Join(t.TempDir(), "one.safetensors"), base)
		swapped := append([]string(nil), rows...)
		swapped[2], swapped[4] = swapped[4], swapped[2]
		changed := append([]string(nil), rows...)
		changed[3] = "1, 7, 8, 10"
		for _, x := range []struct {
			name, key string
			words     []string
			change    func(j *Job)
		}{
			{"a bit of the base", "base", []string{"model.layers.0.self_attn.q_proj.weight is F32 [32 32], digest ", "in " + one, "1 of 3 tensors differ"}, func(j *Job) { j.LoadCheckpoint = one }},
			{"rows in another order", "rows", []string{"the same 6 in another order; row 3 (row 3 of "}, func(j *Job) { j.TrainData.Path = rowsIn(t, swapped...) }},
			{"a changed row", "rows", []string{"row 4 (row 4 of ", " is the first that differs: digest "}, func(j *Job) { j.TrainData.Path = rowsIn(t, changed...) }},
			{"a further row", "rows", []string{"6 in the checkpoint, 7 now; the first 6 are the same"}, func(j *Job) { j.TrainData.Path = rowsIn(t, append(rows, "1, 2, 3")...) }},
			{"a key of the graph", "optimizer.weight_decay", []string{"optimizer.weight_decay: 0 in the checkpoint, 0.1 now"}, func(j *Job) { j.Keys = []string{"optimizer.weight_decay=0.1", "optimizer.type=AdamW"} }},
			{"a key that is gone", "optimizer.weight_decay", []string{"optimizer.weight_decay: 0 in the checkpoint, not set now"}, func(j *Job) { j.Keys = j.Keys[1:] }},
			{"a key of the job", "seed", []string{"seed: 5 in the checkpoint, 6 now"}, func(j *Job) { j.Seed = 6 }},
			{"a template", "prompt", []string{`train_dataset.data_loader.prompt: auto in the checkpoint, plain now`}, func(j *Job) { j.TrainData.Prompt = "plain" }},
			{"another graph", "graph", []string{"graph: ", " in the checkpoint, edited now"}, func(j *Job) { j.Hash = "edited" }},
		} {
			said, err := resume(x.change)
			if exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "was made by another job") || !strings.Contains(err.Error(), "--resume_mismatch") {
				t.Errorf("%s, %s: %v\n%s", format, x.name, err, said)
				continue
			}
			wordsIn(t, err.Error(), x.words...)
			if said, err = resume(x.change, "--resume_mismatch", x.key); err != nil {
				t.Errorf("%s, %s: %v", format, x.name, err)
			}
			wordsIn(t, said, "--resume_mismatch: resuming with another ", "resumed after step 3")
		}
		// What may change is said.
		said, err := resume(nil, "--learning_rate", "0.5", "--epochs", "9", "--threads", "1")
		if err != nil {
			t.Fatal(err)
		}
		wordsIn(t, said, "resuming with another lr_schedule.learning_rate: 0.02 in the checkpoint, 0.5 now", "resuming with another runner_config.epochs: 3 in the checkpoint, 9 now")
		if said, err = resume(nil, "--resume_mismatch", "weight_decoy"); exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), "did you mean optimizer.weight_decay?") {
			t.Errorf("a key that nothing has: %v\n%s", err, said)
		}
		// Several are named together.
		_, err = resume(func(j *Job) { j.Seed = 6; j.LoadCheckpoint = one }, "--resume_mismatch", "base")
		if err == nil || strings.Contains(err.Error(), "q_proj") || !strings.Contains(err.Error(), "--resume_mismatch base,seed") {
			t.Errorf("one of two is accepted: %v", err)
		}
	}
}

// A class is named before the keys that come and go with it.
func TestCausesFirst(t *testing.T) {
	was := &identity{Same: map[string]string{"optimizer.beta1": "0.9", "optimizer.type": "AdamW", "runner_wrapper.scale_sense.type": "static", "runner_wrapper.scale_sense.loss_scale_value": "1024"}}
	is := &identity{Same: map[string]string{"optimizer.type": "SGD", "optimizer.momentum": "0.5", "runner_wrapper.scale_sense.type": "dynamic", "runner_wrapper.scale_sense.scale_factor": "2"}}
	list, _, _ := is.differences(was, &dataset.Set{}, true)
	var got []string
	for _, d := range list[:4] {
		got = append(got, d.key)
	}
	if want := []string{"optimizer.type", "optimizer.beta1", "optimizer.momentum", "runner_wrapper.scale_sense"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if want := "1024 in the checkpoint, DynamicLossScaleUpdateCell now"; list[3].text != want || len(list) != 4 {
		t.Errorf("%v, want %s", list, want)
	}
}

// Of the key that differs, no consequence is named: full_batch says nothing of one device,
// and what trains is no longer part of what the base is compared by.
func TestConsequences(t *testing.T) {
	was := &identity{Same: map[string]string{"parallel.full_batch": "False"}, Free: map[string]string{"devices": "1"}}
	is := &identity{Same: map[string]string{"parallel.full_batch": "True"}, Free: map[string]string{"devices": "2"}}
	if list, changed, _ := is.differences(was, &dataset.Set{}, true); len(list) != 0 || len(changed) != 1 {
		t.Errorf("of one device: %v, %v", list, changed)
	}
	was.Free = map[string]string{"devices": "4"}
	if list, _, _ := is.differences(was, &dataset.Set{}, true); len(list) != 1 {
		t.Errorf("of several devices: %v", list)
	}
	const key = "model.model_config.pet_config.freeze_exclude"
	sum := &tensorSum{Type: "F32", Shape: []int{1}, Sample: "1"}
	was = &identity{Same: map[string]string{key: "[]"}, Base: map[string]*tensorSum{queryName: sum, normName: sum}}
	is = &identity{Same: map[string]string{key: "[*norm*]"}, Base: map[string]*tensorSum{queryName: sum}}
	if list, _, _ := is.differences(was, &dataset.Set{}, false); len(list) != 1 || list[0].key != key {
		t.Errorf("%v, want %s alone", list, key)
	}
	is.Base[queryName] = &tensorSum{Type: "F32", Shape: []int{1}, Sample: "2"}
	if list, _, _ := is.differences(was, &dataset.Set{}, false); len(list) != 2 || !strings.HasSuffix(list[1].text, "1 of 1 tensors differ") {
		t.Errorf("%v, want the base, too", list)
	}
}

// Other instructions round in another way, which is said where both sides know theirs.
func TestOtherUnits(t *testing.T) {
	for was, said := range map[string]bool{"AVX2": true, "": false, "AVX-512": false} {
		if got := (&identity{Units: "AVX-512"}).otherUnits(&identity{Units: was}); (got != "") != said {
			t.Errorf("%q: %q", was, got)
		}
	}
}

// A difference that no sample shows is found where all bytes are compared.
func TestVerifyBase(t *testing.T) {
	sums := func(at int, whole bool) map[string]*tensorSum {
		t.Helper()
		data := make([]byte, 1<<20)
		data[at] = 1
		w, err := kernels.WeightFromBytes(data, kernels.F32, 512, 512)
		if err != nil {
			t.Fatal(err)
		}
		out, err := (&Loader{base: []stored{{queryName, []int{512, 512}, w}}}).sums(whole)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	otherBase := func(was, is map[string]*tensorSum) string {
		return (&identity{Base: is}).otherBase(&identity{Base: was}, false)
	}
	const unseen = 5000 // no sample has it: they begin at multiples of 69632
	for _, at := range []int{0, 4095, 69632, 1<<20 - 1} {
		if otherBase(sums(unseen, false), sums(at, false)) == "" {
			t.Errorf("byte %d is in no sample", at)
		}
	}
	was, is := sums(unseen, true), sums(unseen+1, true)
	if d := otherBase(was, is); !strings.Contains(d, was[queryName].Whole) || !strings.Contains(d, is[queryName].Whole) {
		t.Errorf("all bytes: %q", d)
	}
	if d := otherBase(sums(unseen, false), is); d != "" {
		t.Errorf("of one all bytes are unknown: %q", d)
	}

	j, model := adaptedJob(t), shapeOf{}
	must(t, j, model.body, "--steps", "3", "--verify_base", "True")
	if said := must(t, j, model.body, "--resume_training", "True", "--steps", "4", "--verify_base", "True"); strings.Contains(said, "cannot be compared") {
		t.Error(said)
	}
	must(t, j, model.body, "--resume_training", "True", "--steps", "5")
	said := must(t, j, model.body, "--resume_training", "True", "--steps", "6", "--verify_base", "True")
	wordsIn(t, said, "the checkpoint was written without --verify_base")
}

// A tokenizer matters where it makes the rows; its file is named.
func TestResumeTokenizer(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	tokenizer := spelt(t, j, "")
	must(t, j, model.body, "--steps", "3")
	spelt(t, j, `,"f":9`)
	said := must(t, j, model.body, "--resume_training", "True", "--steps", "4") // rows are ids
	wordsIn(t, said, "resuming with another tokenizer: vocabulary is ", "the rows are ids")
	text := filepath.Join(t.TempDir(), "text.jsonl")
	if err := os.WriteFile(text, []byte("{\"text\": \"a b c\"}\n{\"text\": \"b c d e\"}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	j.TrainData.Path, j.Output, j.Vocab = text, t.TempDir(), vocab
	must(t, j, model.body, "--steps", "1")
	spelt(t, j, `,"g":9`)
	refused(t, j, model.body, exit.Input, "tokenizer: vocabulary is ", "--resume_training", "True")
	spelt(t, j, `,"f":9`)
	beside := filepath.Join(filepath.Dir(tokenizer), "tokenizer_config.json")
	if err := os.WriteFile(beside, []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, "tokenizer: tokenizer_config.json is not there in the checkpoint, 2 bytes, sha256 ", "--resume_training", "True")
}

// Steps of another global batch count by their rows, in our own checkpoints too; what
// counted otherwise is moved aside when there is a checkpoint of the new steps.
func TestResumeOtherBatch(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	must(t, j, model.body, "--steps", "9")
	out := j.Output
	said := must(t, j, model.body, "--resume_training", "True", "--batch_size", "4", "--steps", "5")
	wordsIn(t, said, "steps were of 2 rows, now they are of 4: step 9 is step 4", "resumed after step 4", "metrics.jsonl to metrics.jsonl.1", "checkpoint.1")
	for name, want := range map[string]bool{"checkpoint/toy-5.safetensors": true, "checkpoint/toy-9.safetensors": false, "checkpoint.1/toy-9.safetensors": true, "metrics.jsonl.1": true} {
		if _, err := os.Stat(filepath.Join(out, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	said = must(t, j, model.body, "--resume_training", "True", "--batch_size", "2", "--gradient_accumulation_steps", "2")
	wordsIn(t, said, "resumed after step 5", "resuming with another runner_config.batch_size: 4 in the checkpoint, 2 now")
	if strings.Contains(said, "steps were of") {
		t.Error("the same number of rows is another")
	}
	j.Devices = Devices{Count: 2, Mode: "data", Shard: "block"} // of 2 rows each
	j.Output = copyOf(t, out)
	said = must(t, j, model.body, "--resume_training", "True", "--batch_size", "2", "--epochs", "5", "--steps", "10")
	if strings.Contains(said, "steps were of") {
		t.Error("2 devices of 2 rows take others than 4")
	}
	wordsIn(t, said, "2 devices: a step takes 2 · 2 = 4 rows", "resuming with another devices: 1 in the checkpoint, 2 now")
	j.Devices.Count = 4
	said = must(t, j, model.body, "--resume_training", "True", "--batch_size", "1", "--epochs", "5", "--steps", "11")
	if strings.Contains(said, "steps were of") {
		t.Error("4 devices of 1 row take others than 4")
	}
	wordsIn(t, said, "resuming with another devices: 2 in the checkpoint, 4 now")
}

// A run that starts leaves what an earlier one left, under another name; an export is
// marked until its run has ended.
func TestEarlierRunIsMovedAside(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	out := func(names ...string) string { return filepath.Join(append([]string{j.Output}, names...)...) }
	said := must(t, j, model.body, "--steps", "4")
	wordsIn(t, said, "unfinished, step 4 of 15")
	if at := peft.Unfinished(out("adapter")); at != "step 4 of 15" {
		t.Errorf("the adapter is %q", at)
	}
	said = must(t, j, model.body, "--run_mode", "eval", "--load_adapter", out("adapter"))
	wordsIn(t, said, "is of a run that has not ended: step 4 of 15")
	must(t, j, model.body, "--resume_training", "True")
	if at := peft.Unfinished(out("adapter")); at != "" {
		t.Errorf("the adapter of a run that ended is at %q", at)
	}
	first, err := os.ReadFile(out("adapter", "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 3; n++ {
		said = must(t, j, model.body, "--steps", "1", "--load_adapter", out("adapter"))
		wordsIn(t, said, fmt.Sprintf("checkpoint to checkpoint.%d, metrics.jsonl to metrics.jsonl.%d, adapter to adapter.%d", n, n, n))
	}
	if now, err := os.ReadFile(out("adapter.1", "adapter_model.safetensors")); err != nil || string(now) != string(first) {
		t.Errorf("the first adapter is not what it was: %v", err)
	}
	// Without a checkpoint, resuming starts; what is there is not lost either.
	if err := os.RemoveAll(out("checkpoint")); err != nil {
		t.Fatal(err)
	}
	said = must(t, j, model.body, "--steps", "1", "--resume_training", "True")
	wordsIn(t, said, "starting from the beginning", "metrics.jsonl to metrics.jsonl.3, adapter to adapter.3")
	// The base of a run is not moved from under it.
	inside := write(t, out("model", "model.safetensors"), tensors())
	refused(t, j, model.body, exit.Input, "give another --output_dir", "--load_checkpoint", inside)
}
