package chat

import (
	"errors"
	"testing"
)

// A message of the developer is the system's, where a template has no place for it: one
// that raises, as vicuna does, and one that drops what it does not know.
func TestDeveloper(t *testing.T) {
	v := Conversation{Messages: []any{Message("developer", "Be kind. "), Message("user", "hi")}, Tokens: Tokens{EOS: "</s>"}}
	got, err := Named("vicuna").Write(v, true)
	if err != nil || got.Text != "Be kind.  USER: hi ASSISTANT:" {
		t.Errorf("vicuna: %q %v", got.Text, err)
	}
	drops := &Template{Render: func(c *Context) {
		for _, m := range List(c.Var("messages")) {
			if role := Text(Attr(m, "role")); role != "developer" {
				c.Put("[" + role + " " + Text(Attr(m, "content")) + "]")
			}
		}
	}}
	if got, err := drops.Write(v, true); err != nil || got.Text != "[system Be kind. ][user hi]" {
		t.Errorf("dropped: %q %v", got.Text, err)
	}
	if got, err := Named("chatml").Write(v, false); err != nil || got.Text != "<|im_start|>developer\nBe kind. <|im_end|>\n<|im_start|>user\nhi<|im_end|>\n" {
		t.Errorf("chatml: %q %v", got.Text, err)
	}
	if role, _ := v.Messages[0].(*Map).Get("role"); role != "developer" {
		t.Error("the conversation has changed")
	}
	v.Messages = append(v.Messages, Message("tool", "x"))
	if _, err := Named("vicuna").Write(v, true); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}
