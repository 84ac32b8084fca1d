package convert

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

// listed is a tensor as a file names it.
type listed struct {
	name, dtype string
	shape       []int
	bytes       int
}

// list prints a file's tensors.
func list(w io.Writer, path, kind string, facts []string, tensors []listed) {
	total := 0
	for _, t := range tensors {
		total += t.bytes
	}
	fmt.Fprintf(w, "%s: %s, %d tensors, %s bytes of data\n", path, kind, len(tensors), human.Thousands(total))
	for _, f := range facts {
		fmt.Fprintf(w, "  %s\n", f)
	}
	for _, t := range tensors {
		fmt.Fprintf(w, "%-8s  %-12s  %10s  %s\n", t.dtype, shapeText(t.shape), human.Thousands(t.bytes), t.name)
	}
}

// inspectTorch lists the tensors of a file under the names that stand in it; so do those below.
func inspectTorch(w io.Writer, path string) error {
	f, err := torch.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var tensors []listed
	for _, name := range f.Names() {
		dtype, shape, _ := f.Shape(name)
		n := widths[dtype]
		for _, d := range shape {
			n *= d
		}
		tensors = append(tensors, listed{name, dtype, shape, n})
	}
	list(w, path, "torch file", nil, tensors)
	return nil
}

// widths are the bytes of a number.
var widths = map[string]int{"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

func inspectLlama2c(w io.Writer, path string) error {
	f, err := llama2c.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	dtype, head := "F32", "tied to the embedding"
	if !f.Shared {
		head = "of its own"
	}
	facts := []string{fmt.Sprintf("dim=%d hidden_dim=%d n_layers=%d n_heads=%d n_kv_heads=%d vocab_size=%d max_seq_len=%d, head %s",
		f.Dim, f.Header.Hidden, f.Layers, f.Heads, f.KVHeads, f.Vocab, f.SeqLen, head)}
	if f.Version == 2 {
		facts = append(facts, fmt.Sprintf("matrices in 8 bits, a scale for %d numbers", f.Group))
	}
	var tensors []listed
	for _, name := range f.Names() {
		shape, _ := f.Shape(name)
		n := 1
		for _, d := range shape {
			n *= d
		}
		dtype, bytes := dtype, 4*n
		if f.Version == 2 && len(shape) == 2 {
			dtype, bytes = "I8", n+4*(n/f.Group)
		}
		tensors = append(tensors, listed{name, dtype, shape, bytes})
	}
	list(w, path, fmt.Sprintf("llama2.c checkpoint of version %d", f.Version), facts, tensors)
	return nil
}

func inspectGGUF(w io.Writer, path string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text := func(key string) string { s, _ := f.Meta[key].(string); return s }
	kind, facts := "GGUF", []string{}
	if text("general.type") == "adapter" {
		kind = "GGUF, an adapter (" + text("adapter.type") + ")"
		facts = append(facts, fmt.Sprintf("lora_alpha=%v", f.Meta["adapter.lora.alpha"]))
	}
	facts = append(facts, fmt.Sprintf("architecture=%s name=%s", text("general.architecture"), clipText(text("general.name"), 60)))
	var tensors []listed
	for _, t := range f.Tensors {
		tensors = append(tensors, listed{t.Name, t.Type, t.Shape, len(t.Data)})
	}
	list(w, path, kind, facts, tensors)
	t, err := f.Tokenizer()
	showOwnTokenizer(w, t, err)
	return nil
}

func inspectSafetensors(w io.Writer, path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var facts []string
	for _, key := range sortedNames(f.Metadata) {
		facts = append(facts, fmt.Sprintf("%s=%s", key, clipText(f.Metadata[key], 60)))
	}
	var tensors []listed
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		tensors = append(tensors, listed{name, t.DType, t.Shape, len(t.Data)})
	}
	list(w, path, "safetensors", facts, tensors)
	return nil
}

// inspectCkpt lists a checkpoint of MindSpore whatever its name.
func inspectCkpt(w io.Writer, path string) error {
	f, err := mindspore.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var tensors []listed
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		tensors = append(tensors, listed{name, t.DType, t.Shape, len(t.Data)})
	}
	list(w, path, "MindSpore checkpoint", nil, tensors)
	return nil
}

// inspectAdapter shows an adapter's directory of PEFT or MLX-LM; false where it is none.
func inspectAdapter(w io.Writer, dir string) (bool, error) {
	if !disk.Exists(filepath.Join(dir, "adapter_config.json")) {
		return false, nil
	}
	a, err := peft.Load(dir)
	if err != nil { // as torchtune's, whose file is torch's
		if shown, filesErr := inspectFiles(w, dir); shown && filesErr == nil {
			return true, nil
		}
		return true, err
	}
	facts := []string{fmt.Sprintf("r=%d lora_alpha=%g target_modules=%s", a.Config.Rank, a.Config.Alpha, strings.Join(a.Config.Targets, ", "))}
	if a.Config.Base != "" {
		facts = append(facts, "base="+clipText(a.Config.Base, 80))
	}
	facts = append(facts, a.Notes()...)
	var tensors []listed
	for _, name := range sortedNames(a.Tensors) {
		t := a.Tensors[name]
		tensors = append(tensors, listed{name, "F32", []int{t.Rows, t.Cols}, 4 * t.Rows * t.Cols})
	}
	if len(a.Config.Modules) > 0 {
		facts = append(facts, "modules_to_save="+strings.Join(a.Config.Modules, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Modules)) {
		m := a.Modules[name]
		tensors = append(tensors, listed{name, m.DType, m.Shape(), m.Size()})
	}
	list(w, dir, "LoRA adapter", facts, tensors)
	return true, nil
}

// inspectFiles shows each file of a directory that says what it is.
func inspectFiles(w io.Writer, dir string) (any bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || slices.Contains([]string{".json", ".txt", ".md", ".py"}, filepath.Ext(e.Name())) {
			continue
		}
		shown, err := Describe(w, filepath.Join(dir, e.Name()))
		if shown && err != nil {
			fmt.Fprintln(w, err)
		}
		any = any || shown
	}
	return any, nil
}

// inspectPieces shows llama2.c's list of pieces.
func inspectPieces(w io.Writer, path string, data []byte) {
	pieces, longest := tokenizer.Llama2cPieces(data)
	fmt.Fprintf(w, "%s: a tokenizer of llama2.c, %s pieces of up to %d bytes; lorac reads the tokenizer.model or tokenizer.json that it was made of\n", path, human.Thousands(len(pieces)), longest)
	for id, p := range pieces {
		if id < 3 || id > 258 && id < 264 || id == len(pieces)-1 {
			fmt.Fprintf(w, "  %6d  %10.3f  %q\n", id, p.Score, p.Text)
		}
	}
}
