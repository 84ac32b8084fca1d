package tokenizer

import (
	"encoding/binary"
	"slices"
	"testing"
)

// charsRules builds, by hand, the table for "A" → "a", "Ab" → "the", "é" → "".
// A node of the double array holds its label, the offset to its children and
// whether a rule ends there; the rule's value is the child of label 0.
func charsRules() string {
	trie := make([]uint32, 1024)
	texts := "a\x00the\x00\x00"
	node := func(at uint32, label byte, offset uint32, leaf bool) {
		unit := offset<<10 | uint32(label)
		if leaf {
			unit |= 1 << 8
		}
		trie[at] = unit
	}
	node(0, 0, 256, false) // root: children at 256 ^ byte
	a := uint32(256) ^ 'A'
	node(a, 'A', 512^a, true) // children at a ^ (512^a) = 512
	trie[512] = 1 << 31       // "A" → texts[0:]
	b := uint32(512) ^ 'b'
	node(b, 'b', 768^b, true)
	trie[768] = 1<<31 | 2 // "Ab" → texts[2:]
	e1 := uint32(256) ^ 0xC3
	node(e1, 0xC3, 800^e1, false)
	e2 := uint32(800) ^ 0xA9
	node(e2, 0xA9, 600^e2, true)
	trie[600] = 1<<31 | 6 // "é" → texts[6:], nothing
	data := binary.LittleEndian.AppendUint32(nil, uint32(4*len(trie)))
	for _, u := range trie {
		data = binary.LittleEndian.AppendUint32(data, u)
	}
	return string(data) + texts
}

func TestCharsMap(t *testing.T) {
	c, err := parseCharsMap([]byte(charsRules()))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"A": "a", "Ab": "the", "AAbA": "athea", "aé b": "a b", "è": "è", "é": "", "": "", "\u00e9A": "a"} {
		if got := c.apply(text, nil); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	tok := small(t, "", protobuf(1, "own", 2, charsRules()))
	if got := tok.Encode("Ab A"); !slices.Equal(got, []int32{xBlankThe, xBlankA}) {
		t.Errorf("ids %v", got)
	}
	if got := tok.Encode("é"); !slices.Equal(got, []int32{xBlank}) {
		t.Errorf("ids of what is rewritten to nothing: %v", got)
	}
}

func TestCharsMapRefuses(t *testing.T) {
	good := charsRules()
	for name, data := range map[string]string{
		"short": "abc", "no trie": "\x00\x00\x00\x00\x00", "long claim": "\xfc\xff\xff\xff" + good[4:], "odd": "\x03" + good[1:],
		"no texts": good[:len(good)-7], "no end": good[:len(good)-1] + "x",
	} {
		if _, err := parseCharsMap([]byte(data)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
