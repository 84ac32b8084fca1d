package dataset

import "strings"

// Rendering is how the questions of a data set were rendered: the format of its rows
// and the prompt, both as Options have them. Prompt is "" where rows have no questions.
type Rendering struct {
	Format string `json:"format"`
	Prompt string `json:"prompt"`
}

// RenderingOf is that of rows of a format under a prompt; "" is each format's own.
func RenderingOf(format, prompt string) Rendering {
	switch {
	case format != "alpaca" && format != "completion" && format != "sharegpt" && format != "messages" && format != "mixed":
		return Rendering{Format: format}
	case prompt != "":
	case format == "completion":
		prompt = "plain"
	default:
		prompt = "vicuna"
	}
	return Rendering{format, prompt}
}

// Question renders a question as training does, up to where its answer begins.
func (r Rendering) Question(text string) string {
	switch r.Prompt {
	case "alpaca":
		text = stanford(text, "")
	case "vicuna":
		if r.Format == "alpaca" {
			text = stanford(text, "")
		}
		text = vicunaText("", []turn{{From: "human", Value: text}}) + strings.TrimSpace(vicunaReply)
	case "plain":
		if r.Format != "completion" {
			text += "\n"
		}
	}
	return strings.TrimRight(text, " ")
}

// Rendered reports whether a text ends as the prompt has it before an answer, so that
// it must not be rendered once more.
func (r Rendering) Rendered(text string) bool {
	end := map[string]string{"alpaca": "### Response:", "vicuna": strings.TrimSpace(vicunaReply)}[r.Prompt]
	return end != "" && strings.HasSuffix(strings.TrimSpace(text), end)
}
