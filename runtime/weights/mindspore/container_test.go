package mindspore

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/safetensors"
)

// sample are the tensors of a file that MindSpore 2.7 saved with crc_check.
func sample() []Entry {
	le := binary.LittleEndian
	var norm, wq, moment []byte
	for i := range 16 {
		norm = le.AppendUint32(norm, math.Float32bits(float32(i)))
	}
	for i := range 256 { // f16 of whole numbers up to 255
		h := uint16(0)
		if i > 0 {
			e := int(math.Log2(float64(i)))
			h = uint16((e+15)<<10) | uint16((i<<10>>e)&0x3ff)
		}
		wq = le.AppendUint16(wq, h)
	}
	for range 6 {
		moment = le.AppendUint32(moment, math.Float32bits(1))
	}
	long := func(name string, n uint64) Entry {
		return Entry{Name: name, DType: "I64", Write: Bytes(le.AppendUint64(nil, n))}
	}
	return []Entry{
		{Name: "model.norm_out.weight", DType: "F32", Shape: []int{16}, Write: Bytes(norm)},
		{Name: "model.layers.0.attention.wq.weight", DType: "F16", Shape: []int{16, 16}, Write: Bytes(wq)},
		{Name: "adam_m.x.y", DType: "F32", Shape: []int{2, 3}, Write: Bytes(moment)},
		long("epoch_num", 2), long("step_num", 7), long("global_batch_size", 4), Float("loss_scale", 65536),
	}
}

// A container has MindSpore's checksum, and reads as the checkpoint it is.
func TestContainer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Write(path, append(sample(), Text("lorac_job", "näher")), true); err != nil {
		t.Fatal(err)
	}
	c, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Metadata["crc_num"] != "2416774671" || c.Metadata["format"] != "ms" { // what MindSpore wrote
		t.Errorf("metadata %v", c.Metadata)
	}
	c.Close()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Verify(); err != nil || !f.HasCRC {
		t.Errorf("%v", err)
	}
	if n, err := f.Scalar("step_num"); n != 7 || err != nil {
		t.Errorf("step_num %v, %v", n, err)
	}
	if text, ok := f.Text("lorac_job"); text != "näher" || !ok {
		t.Errorf("text %q", text)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-3] ^= 1
	wrong := filepath.Join(t.TempDir(), "wrong.safetensors")
	if err := os.WriteFile(wrong, b, 0o666); err != nil {
		t.Fatal(err)
	}
	g, err := Open(wrong)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Verify(); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a changed byte: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// Parts of unified_safetensors are one checkpoint by their index, in both its forms.
func TestUnified(t *testing.T) {
	dir := t.TempDir()
	parts := sample()
	for name, list := range map[string][]Entry{"part0": parts[:2], "part1": parts[2:3], "hyper_param": parts[3:]} {
		if err := Write(filepath.Join(dir, name+Suffix), list, false); err != nil {
			t.Fatal(err)
		}
	}
	flat := `{"model.norm_out.weight":"part0.safetensors","model.layers.0.attention.wq.weight":"part0.safetensors","adam_m.x.y":"part1.safetensors"}`
	for _, text := range []string{flat, `{"metadata":{"total_size":1},"weight_map":` + flat + `}`} {
		write(t, filepath.Join(dir, MapName), text)
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		names := f.Names()
		slices.Sort(names)
		if len(names) != 7 || !slices.Contains(names, "adam_m.x.y") || !slices.Contains(names, "step_num") {
			t.Errorf("names %v", names)
		}
		f.Close()
	}
	for want, text := range map[string]string{
		"is not the index":         flat[:40],
		"is missing; all parts":    strings.Replace(flat, "part1", "part7", 1),
		"is not in part0":          `{"adam_v.z":"part0.safetensors"}`,
		"is outside its directory": `{"a":"../part0.safetensors"}`,
		"names no tensor":          `{}`,
	} {
		write(t, filepath.Join(dir, MapName), text)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	write(t, filepath.Join(dir, MapName), flat) // as MindFormers leaves it in a Hugging Face directory
	write(t, filepath.Join(dir, "model.safetensors.index.json"), "{}")
	if d, err := FindDirectory(dir); d != nil || err != nil {
		t.Errorf("Hugging Face's index does not win: %v, %v", d, err)
	}
}

// An iteration that one process saved: model and optimizer beside each other.
func TestIterationOfOne(t *testing.T) {
	root := t.TempDir()
	for i, n := range []string{"iteration_00000004", "iteration_00000008"} {
		dir := filepath.Join(root, n)
		for kind, list := range map[string][]Entry{"model": sample()[:2], "opt": sample()[2:3]} {
			if err := Write(filepath.Join(dir, "CKP-"+kind+"-0000000-0000001.safetensors"), list, false); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(dir, "common.json"), `{"step_num": `+[]string{"4", "8"}[i]+`, "loss_scale": 256.0}`)
	}
	for _, c := range []struct {
		tracker string
		step    float64
	}{{"4", 4}, {"", 8}} { // the last that is complete; without a tracker the newest
		write(t, filepath.Join(root, "latest_checkpointed_iteration.txt"), c.tracker)
		f, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.Scalar("step_num"); n != c.step || err != nil {
			t.Errorf("tracker %q: step %v, %v", c.tracker, n, err)
		}
		if x, err := f.Scalar("loss_scale"); x != 256 || err != nil {
			t.Errorf("loss_scale %v, %v", x, err)
		}
		if _, ok := f.Tensor("adam_m.x.y"); !ok {
			t.Error("the optimizer's file is not read")
		}
		f.Close()
	}
}
