package rt

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
)

// renderingName is the file beside an adapter that says how its training rendered
// questions.
const renderingName = "lorac_prompt.json"

// rendering is what that file says.
type rendering struct {
	dataset.Rendering
	SpecialTokens string `json:"special_tokens"` // ids or text
}

// renderingOf is how the training data of a run are rendered.
func (in *inputs) renderingOf(j *Job) rendering {
	format := ""
	if in.batches != nil {
		format = in.batches.Set().Stats.Format
	}
	r := rendering{dataset.RenderingOf(format, j.TrainData.Prompt), "ids"}
	if j.SpecialTokens != "" {
		r.SpecialTokens = j.SpecialTokens
	}
	return r
}

// save writes it to the directory of an adapter, before the adapter.
func (r rendering) save(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o777)
	}
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, renderingName), func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err })
}

// readRendering reads it; ok is false where there is none.
func readRendering(adapter string) (r rendering, ok bool, err error) {
	if info, err := os.Stat(adapter); err == nil && !info.IsDir() {
		adapter = filepath.Dir(adapter)
	}
	path := filepath.Join(adapter, renderingName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, false, exit.Inputf("cannot read how the adapter's training rendered questions: %s: %v\n  = help: mend the file, or remove it", path, err)
	}
	return r, true, nil
}

// renderPrompts prepares prediction: questions are rendered as --prompt says, and where
// that is not how the adapter was trained, it is said.
func (r *Run) renderPrompts() error {
	j, asked := r.job, r.job.TrainData.Prompt
	render := dataset.Rendering{Format: j.TrainData.Format, Prompt: asked}
	if r.opts.LoadAdapter != "" {
		was, ok, err := readRendering(r.opts.LoadAdapter)
		if err != nil {
			return err
		}
		if ok {
			r.compareRendering(was, asked)
			if render.Format == "" || render.Format == "auto" {
				render.Format = was.Format
			}
		}
	}
	if asked == "" {
		return nil
	}
	r.out.Say("questions are rendered by the prompt %s", asked)
	r.gen.Render = func(text string) string {
		if render.Rendered(text) {
			r.out.Say("the question is rendered already; it is taken as it is")
			return text
		}
		return render.Question(text)
	}
	return nil
}

func (r *Run) compareRendering(was rendering, asked string) {
	switch {
	case was.Prompt == asked:
	case was.Prompt == "":
		r.out.Say("warning: the adapter was trained on %s, without a prompt; --prompt %s renders questions in a way that it has not seen", was.Format, asked)
	case asked == "":
		r.out.Say("warning: the adapter was trained on %s rows rendered by the prompt %s; questions are taken as they are; --prompt %s renders them", was.Format, was.Prompt, was.Prompt)
	default:
		r.out.Say("warning: the adapter was trained with the prompt %s, questions are rendered by %s; --prompt %s renders them as in training", was.Prompt, asked, was.Prompt)
	}
	now := "ids"
	if r.job.SpecialTokens != "" {
		now = r.job.SpecialTokens
	}
	if was.SpecialTokens != "" && was.SpecialTokens != now {
		r.out.Say("warning: the adapter was trained with --special_tokens %s, the prompts are read with %s", was.SpecialTokens, now)
	}
}
