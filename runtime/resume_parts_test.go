package rt

import (
	"path/filepath"
	"slices"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// A run that resumes with other parameters on purpose says which begin again and which are
// left out. What is frozen now stays as it was trained.
func TestResumeOtherParts(t *testing.T) {
	const key = "model.model_config.pet_config.freeze_include"
	for _, format := range []string{"lorac", "ckpt"} {
		j := adaptedJob(t)
		j.Keys = []string{key + "=[]"}
		must(t, j, shapeOf{norm: true}.body, "--steps", "3", "--checkpoint_format", format)
		resume := func(shape shapeOf, rank int) (string, []float32, error) {
			other := *j
			other.Keys, other.Output = []string{key + "=[other]"}, copyOf(t, j.Output)
			other.LoRA.Rank = rank
			var a []float32
			shape.look = func(_ *Run, m *adapted) { a = slices.Clone(m.a.Data) }
			said, err := execute(&other, shape.body, "--resume_training", "True", "--steps", "4", "--checkpoint_format", format, "--resume_mismatch", "freeze_include,lora_rank")
			return said, a, err
		}
		said, a, err := resume(shapeOf{fixed: true}, rank)
		if err != nil {
			t.Fatalf("%s: %v\n%s", format, err, said)
		}
		wordsIn(t, said, "resumed after step 3")
		if format == "lorac" {
			wordsIn(t, said, "trained in the checkpoint, and left out, since nothing like it trains here: model.norm.weight")
			f, err := safetensors.Open(filepath.Join(j.Output, "checkpoint", "toy-3.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			was, _ := f.Tensor("param." + factorA)
			want := make([]float32, len(a))
			peft.Into(want, was.DType, was.Data)
			if !slices.Equal(a, want) {
				t.Error("a factor that is frozen now lost what it had learned")
			}
		}

		j.Output = t.TempDir()
		must(t, j, shapeOf{fixed: true}.body, "--steps", "3", "--checkpoint_format", format)
		said, _, err = resume(shapeOf{norm: true}, rank)
		if err != nil {
			t.Fatalf("%s: %v\n%s", format, err, said)
		}
		if format == "lorac" {
			wordsIn(t, said, "not in the checkpoint, so they begin as in a new run: "+factorA+" and 1 other")
		} else { // it holds all weights
			wordsIn(t, said, "the optimizer's state begins at zero, since the checkpoint has none of its kind: that of "+factorA+" and 1 other")
		}
	}

	// The rank is in no shape that could be continued.
	j := adaptedJob(t)
	narrow := func(r *Run) error {
		if r.job.LoRA.Rank == 1 {
			r.Embedding(embedName, vocab, width)
			r.Weight(queryName, width, width)
			r.Vector(normName, width)
			r.Trainable([]string{factorA}, 1, width, Init{Kind: "zeros"})
			b := r.Trainable([]string{factorB}, width, 1, Init{Kind: "zeros"})
			r.Grad(b)
			return r.Loaded()
		}
		return shapeOf{}.body(r)
	}
	must(t, j, narrow, "--steps", "3")
	j.LoRA.Rank = 1
	refused(t, j, narrow, exit.Input, "for other layers or in another shape, which --resume_mismatch cannot make up for", "--resume_training", "True", "--resume_mismatch", "lora_rank,base")
}
