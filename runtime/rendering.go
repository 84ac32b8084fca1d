package rt

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lorac/runtime/data/chat"
	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/modeldir"
)

// renderingName is the file beside an adapter that says how its training rendered
// questions.
const renderingName = "lorac_prompt.json"

// rendering is what that file says.
type rendering struct {
	dataset.Rendering
	SpecialTokens string `json:"special_tokens"`     // ids or text
	TrainOn       string `json:"train_on,omitempty"` // last or all; "": each answer
	template      string // of the prompt, in Jinja; "": it is none
}

// templateName is the file beside an adapter, as transformers has it, with the chat
// template of its training.
const templateName = "chat_template.jinja"

// renderingOf is how the training data of a run are rendered.
func (in *inputs) renderingOf(j *Job) rendering {
	format := ""
	if in.batches != nil {
		format = in.batches.Set().Stats.Format
	}
	r := rendering{Rendering: dataset.RenderingOf(format, j.TrainData.Prompt), SpecialTokens: "ids", TrainOn: j.TrainData.TrainOn}
	if t := chat.Named(r.Prompt); dataset.Templated(r.Prompt) && t != nil {
		r.template = t.Source
	} else if r.Prompt == chat.Own {
		r.template = j.ChatTemplate
	}
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
	if err == nil {
		err = r.saveTemplate(dir)
	}
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, renderingName), func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err })
}

// saveTemplate writes the chat template to a directory; one that another run left there
// would be wrong.
func (r rendering) saveTemplate(dir string) error {
	path := filepath.Join(dir, templateName)
	if r.template == "" {
		if _, err := os.Lstat(path); err != nil {
			return nil
		}
		return os.Remove(path)
	}
	return modeldir.Write(path, []byte(r.template))
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
	was, ok, err := r.adapterRendering()
	if err != nil {
		return err
	}
	if ok {
		r.compareRendering(was, asked)
		if render.Format == "" || render.Format == "auto" {
			render.Format = was.Format
		}
	}
	if asked == "" {
		return nil
	}
	r.out.Say("questions are rendered by the prompt %s", asked)
	if dataset.Templated(asked) && r.data.ids != nil {
		return r.renderByTemplate(asked)
	}
	r.gen.Render = func(text string) (string, error) {
		if render.Rendered(text) {
			r.out.Say("the question is rendered already; it is taken as it is")
			return text, nil
		}
		return render.Question(text), nil
	}
	return nil
}

// renderByTemplate renders questions by a chat template, each as a conversation.
func (r *Run) renderByTemplate(prompt string) error {
	t, err := r.talkBy(prompt)
	if err != nil {
		return err
	}
	r.gen.Tok, r.gen.Bare = t.tok, true
	r.gen.Render = func(text string) (string, error) {
		return t.text([]any{chat.Message("user", text)}, nil)
	}
	return nil
}

// adapterRendering is that of the adapter that the run loads; ok is false where it says
// none. A template of the tokenizer must be the one that is compiled in.
func (r *Run) adapterRendering() (was rendering, ok bool, err error) {
	if r.opts.LoadAdapter == "" {
		return was, false, nil
	}
	if was, ok, err = readRendering(r.opts.LoadAdapter); !ok || err != nil {
		return was, ok, err
	}
	dir := modeldir.Of(r.opts.LoadAdapter)
	if text, err := os.ReadFile(filepath.Join(dir, templateName)); err == nil && was.Prompt == chat.Own && r.job.ChatTemplate != "" && string(text) != r.job.ChatTemplate {
		r.out.Say("warning: the adapter was trained with the chat template %s, which is not the tokenizer's", filepath.Join(dir, templateName))
	}
	return was, ok, nil
}

// compareEvaluated says where evaluation renders questions in another way than the
// adapter's training did.
func (r *Run) compareEvaluated() error {
	was, ok, err := r.adapterRendering()
	if err != nil || !ok || was.Prompt == "" {
		return err
	}
	if now := dataset.RenderingOf(r.data.eval.Stats.Format, r.job.EvalData.Prompt); now.Prompt != "" && now.Prompt != was.Prompt {
		r.out.Say("warning: the adapter was trained with the prompt %s, the evaluation data are rendered by %s; --prompt %s renders them as in training", was.Prompt, now.Prompt, was.Prompt)
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

// AdapterPrompt is the prompt that an adapter's directory says it was trained with; ""
// where it says none.
func AdapterPrompt(path string) string {
	was, _, _ := readRendering(path) // what is wrong with it, the trainer says
	return was.Prompt
}
