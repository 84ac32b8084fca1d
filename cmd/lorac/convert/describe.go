package convert

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/data/mindrecord"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights"
	"lorac/runtime/weights/gguf"
	kinds "lorac/runtime/weights/kind"
	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/sharded"
)

// Describe shows what a file of tensors, a tokenizer, a strategy or a data set holds; it
// reports false for a file that is none of these, such as a config.
func Describe(w io.Writer, path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, nil // the config's error says it
	}
	if info.IsDir() {
		return true, inspectDir(w, path)
	}
	if err := kinds.Placeholder(path); err != nil {
		return true, err
	}
	f, err := os.Open(path)
	if err != nil {
		return true, err
	}
	defer f.Close()
	if shown, err := inspectTokenizer(w, path, info.Size()); shown {
		return true, err
	}
	head := make([]byte, 256)
	n, _ := io.ReadFull(f, head)
	kind, usual := contentOf(head[:n], info.Size()), named[filepath.Ext(path)]
	if strings.HasSuffix(path, ".index.json") {
		usual = "safetensors"
	}
	if kind == "" {
		kind = usual // whose reader says what is wrong
	}
	switch kind {
	case "":
		return false, nil
	case "strategy":
		return true, inspectStrategy(w, path)
	case "mindrecord":
		return true, inspectMindRecord(w, path)
	case "torch":
		return true, inspectTorch(w, path)
	case "llama2c":
		return true, inspectLlama2c(w, path)
	}
	switch { // what is as its name says has more to tell
	case kind == usual && !(kind == "gguf" && noBase(path)):
		return true, inspectTensors(w, path, info.Size())
	case kind == "gguf":
		return true, inspectGGUF(w, path)
	case kind == "safetensors":
		return true, inspectSafetensors(w, path)
	}
	return true, inspectCkpt(w, path)
}

// named are the formats that endings stand for.
var named = map[string]string{".safetensors": "safetensors", ".gguf": "gguf", ".ckpt": "ckpt", ".mindrecord": "mindrecord"}

// noBase reports whether a GGUF file is an adapter, or of a network that is no Llama.
func noBase(path string) bool {
	f, err := gguf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Meta["general.type"] == "adapter" || f.Meta["general.architecture"] != "llama" && f.Meta["general.architecture"] != "qwen2"
}

// contentOf recognises a file by its first bytes, whatever its name; "" where they say
// nothing.
func contentOf(head []byte, size int64) string {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("\x80\x02\x8a\x0a\x6c\xfc")):
		return "torch"
	case bytes.HasPrefix(head, []byte("GGUF")):
		return "gguf"
	case llama2c.Is(head, size):
		return "llama2c"
	case len(head) > 8 && bytes.HasPrefix(head[8:], []byte(`{"header_size"`)):
		return "mindrecord"
	case len(head) > 8 && binary.LittleEndian.Uint64(head) < 1<<27 && bytes.HasPrefix(bytes.TrimLeft(head[8:], " \t\r\n"), []byte("{")):
		return "safetensors"
	case len(head) > 0 && head[0] == 0x08:
		return "strategy"
	case len(head) > 2 && head[0] == 0x0A && bytes.IndexByte(head[2:min(len(head), 12)], 0x0A) >= 0 && bytes.IndexByte(head[:min(len(head), 64)], 0x12) > 0:
		return "ckpt"
	}
	return ""
}

// inspectTensors lists tensors with their types, shapes and bytes.
func inspectTensors(w io.Writer, path string, size int64) error {
	set, err := weights.Open(path)
	if err != nil {
		return err
	}
	defer set.Close()
	names := set.Names()
	kind := strings.TrimPrefix(filepath.Ext(path), ".")
	var facts []string
	switch s := set.(type) {
	case *mindspore.File:
		kind = "MindSpore checkpoint"
		facts = append(facts, map[bool]string{true: "with a checksum", false: "without a checksum"}[s.HasCRC])
		if err := s.Verify(); err != nil {
			facts[0] = "whose checksum is WRONG"
		}
		for _, name := range names {
			if text, ok := s.Text(name); ok {
				facts = append(facts, fmt.Sprintf("%s=%q", name, clipText(text, 60)))
			} else if x, err := s.Scalar(name); err == nil {
				facts = append(facts, fmt.Sprintf("%s=%g", name, x))
			}
		}
	case *safetensors.Set:
		kind = "safetensors"
		for _, f := range s.Files() {
			for _, key := range sortedNames(f.Metadata) {
				facts = append(facts, fmt.Sprintf("%s=%s", key, clipText(f.Metadata[key], 60)))
			}
		}
	}
	total := 0
	for _, name := range names {
		h, _ := weights.Describe(set, name)
		total += h.Bytes()
	}
	if kind == "" {
		kind = "a directory of weights"
	}
	fmt.Fprintf(w, "%s: %s, %d tensors, %s bytes of data\n", path, kind, len(names), human.Thousands(total))
	for _, f := range facts {
		fmt.Fprintf(w, "  %s\n", f)
	}
	for _, name := range names {
		h, _ := weights.Describe(set, name)
		pieces := ""
		if len(h.Chunks) > 1 {
			pieces = fmt.Sprintf("  (in %d pieces)", len(h.Chunks))
		}
		fmt.Fprintf(w, "%-8s  %-12s  %10s  %s%s\n", h.DType, shapeText(h.Shape), human.Thousands(h.Bytes()), name, pieces)
	}
	inspectOwnTokenizer(w, path)
	return nil
}

func shapeText(shape []int) string {
	if len(shape) == 0 {
		return "scalar"
	}
	s := make([]string, len(shape))
	for i, d := range shape {
		s[i] = fmt.Sprint(d)
	}
	return strings.Join(s, "×")
}

func clipText(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + " …"
	}
	return s
}

func sortedNames[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// inspectStrategy lists parameters with how they are split.
func inspectStrategy(w io.Writer, path string) error {
	f, err := sharded.Read(path)
	if err != nil {
		return err
	}
	s, err := sharded.Load(path)
	if err != nil {
		return err
	}
	stages := "of one stage"
	if f.Merged() {
		stages = fmt.Sprintf("%d stages merged", s.Stages)
	} else if n := f.PipelineStage(); n > 0 {
		stages = fmt.Sprintf("of stage %d", n)
	}
	fmt.Fprintf(w, "%s: MindSpore strategy file, %d devices, %s, %d parameters, %d operators\n", path, s.Devices, stages, len(f.Params), len(f.Operators))
	for _, p := range f.Params {
		fmt.Fprintf(w, "%-12s  %-8s  %-17s  %s\n", "devices "+shapeText(p.Layout.Devices), strings.ReplaceAll(fmt.Sprint(p.Layout.Map), " ", ","), layoutName(&p.Layout), p.Name)
	}
	return nil
}

// inspectDir lists the saves of a tree of ranks, or the tensors of a model's
// directory.
func inspectDir(w io.Writer, path string) error {
	ranks, err := sharded.RankDirs(path)
	if err != nil {
		return err
	}
	if len(ranks) == 0 {
		if shown, err := inspectAdapter(w, path); shown {
			return err
		}
		var b bytes.Buffer
		err := inspectTensors(&b, path, 0)
		if err != nil { // its files may say more
			if shown, filesErr := inspectFiles(w, path); shown && filesErr == nil {
				return nil
			}
			return err
		}
		_, err = b.WriteTo(w)
		return err
	}
	fmt.Fprintf(w, "%s: %d ranks\n", path, len(ranks))
	for rank := range 1 << 24 {
		if rank >= len(ranks) {
			return nil
		}
		dir, ok := ranks[rank]
		if !ok {
			fmt.Fprintf(w, "rank_%d is missing\n", rank)
			continue
		}
		list, err := sharded.All(dir, rank)
		if err != nil {
			return err
		}
		slices.Sort(list)
		for _, file := range list {
			f, err := mindspore.Open(file)
			if err != nil {
				fmt.Fprintln(w, err)
				continue
			}
			fmt.Fprintf(w, "%s: %d tensors\n", file, len(f.Names()))
			f.Close()
		}
	}
	return nil
}

// inspectMindRecord shows the header of a data set: shards, rows, columns.
func inspectMindRecord(w io.Writer, path string) error {
	set, err := mindrecord.Open(path)
	if err != nil {
		return err
	}
	defer set.Close()
	headers := set.Headers()
	fmt.Fprintf(w, "%s: MindRecord %s, %s rows in %d shards\n", path, headers[0].Version, human.Thousands(set.Rows), len(headers))
	for i, h := range headers {
		rows := 0
		for _, p := range h.Pages {
			rows += p.EndRowID - p.StartRowID
		}
		fmt.Fprintf(w, "  %s: %s rows, %d pages of %s bytes\n", filepath.Base(set.Paths()[i]), human.Thousands(rows), len(h.Pages), human.Thousands(h.PageSize))
	}
	schema := set.Schema()
	if schema.Desc != "" {
		fmt.Fprintf(w, "  %s\n", schema.Desc)
	}
	for _, name := range sortedNames(schema.Fields) {
		f := schema.Fields[name]
		shape := shapeText(f.Shape)
		if len(f.Shape) == 0 {
			shape = "one a row"
		}
		fmt.Fprintf(w, "%-8s  %-12s  %s\n", f.Type, strings.ReplaceAll(shape, "-1", "any"), name)
	}
	return nil
}
