package codegen_test

import (
	"fmt"
	"strings"
	"testing"

	"lorac/codegen"
	"lorac/ir"
)

// TestJobEdited: settings of an edited dump that no run can have, and those that say
// another thing than what is computed, are refused with their line.
func TestJobEdited(t *testing.T) {
	cpu, card := dumps(t, frozen{layers: 2, targets: "wq|wv"}, false), dumps(t, frozen{layers: 2, targets: "wq|wv", wide: true}, true)
	for _, c := range []struct {
		card          bool
		old, by, want string
	}{
		{false, "", "", ""}, {true, "", "", ""},
		{false, "setting seq_length = ", "setting seq_length = 0", "the setting `seq_length` is 0, it must be at least 1"},
		{false, "setting batch_size = ", "setting batch_size = 0", "the setting `batch_size` is 0, it must be at least 1"},
		{false, "setting grad_accum = ", "setting grad_accum = -1", "the setting `grad_accum` is -1, it must be at least 1"},
		{false, "setting epochs = ", "setting epochs = -1", "the setting `epochs` is -1, it must be at least 0"},
		{false, "setting lora.alpha = ", "setting lora.alpha = 64.0", "`lora_linear` scales its adapters by "},
		{false, "setting lora.rank = ", "setting lora.rank = 3", "the setting `lora.rank` is 3, the size `rank` is "},
		{false, "setting vocab = ", "setting vocab = 3", "the setting `vocab` is 3, the size `vocab` is "},
		{true, "setting lora.alpha = ", "setting lora.alpha = 64.0", ".scaled is multiplied by "},
	} {
		list := cpu
		if c.card {
			list = card
		}
		text := list[len(list)-1]
		line := 0
		if c.old != "" {
			at := strings.Index(text, c.old)
			if at < 0 {
				t.Errorf("the dump has no %q", c.old)
				continue
			}
			line = strings.Count(text[:at], "\n") + 1
			end := at + strings.IndexByte(text[at:], '\n')
			_, pos, _ := strings.Cut(text[at+len(c.old):end], " @")
			text = text[:at] + c.by + " @" + pos + text[end:]
		}
		m, err := ir.Parse("edited.ir", text)
		if err != nil {
			t.Errorf("%s: %v", c.by, err)
			continue
		}
		_, err = codegen.Job(m)
		switch {
		case c.want == "" && err == nil:
		case c.want == "" || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "edited.ir:"):
			t.Errorf("%q: %v, want %q", c.by, err, c.want)
		case !strings.Contains(err.Error(), fmt.Sprintf("edited.ir:%d:", line)) && !strings.Contains(err.Error(), fmt.Sprintf("(line %d)", line)):
			t.Errorf("%q: %v does not name line %d", c.by, err, line)
		}
	}
}
