package main

import (
	"encoding/binary"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// storeBase writes the base again, each matrix by encode, which changes the numbers
// to what they are when they are read.
func (x *tiny) storeBase(dir, dtype string, encode func([]float32) []byte) {
	x.t.Helper()
	var list []safetensors.Entry
	for name, data := range x.weights {
		if strings.Contains(name, "_lora_") {
			continue
		}
		as, b := "F32", peft.Bytes(data)
		if len(x.shapes[name]) == 2 {
			as, b = dtype, encode(data)
		}
		list = append(list, safetensors.Entry{Name: naming.HF(name), DType: as, Shape: x.shapes[name],
			Write: func(w io.Writer) error { _, err := w.Write(b); return err }})
	}
	x.must(safetensors.Write(filepath.Join(dir, "model.safetensors"), list, nil))
}

// TestAscendBases: however a base is stored, the device trains over the numbers that
// it stands for: the result is that of these numbers in F32.
func TestAscendBases(t *testing.T) {
	testkit.Slow(t, "ascend")
	const mc = "model.model_config."
	set := restlessOnAscend(map[string]string{mc + "intermediate_size": "96", mc + "n_kv_heads": "2"})
	for _, compute := range []string{"bfloat16", "float16"} {
		set[mc+"compute_dtype"] = compute
		x := newTinyOnAscend(t, set)
		trained := func(base string) string {
			out := filepath.Join(x.dir, "out", strings.ReplaceAll(base, "/", "_"))
			x.run(out, "--epochs", "1", "--load_checkpoint", base)
			_, metrics, _ := strings.Cut(outcome(t, out), "{")
			metrics, _, _ = strings.Cut(metrics, "adapter_config.json") // it names the base
			return metrics + string(x.adapter(out))
		}
		exact := maps.Clone(x.weights)
		for dtype, encode := range map[string]func([]float32) []byte{"F32": peft.Bytes, "BF16": asBF16, "F16": asF16} {
			for name, data := range exact {
				x.weights[name] = append([]float32(nil), data...)
			}
			x.storeBase(filepath.Join(x.dir, dtype), dtype, encode)
			x.storeBase(filepath.Join(x.dir, dtype+".f32"), "F32", peft.Bytes)
			sameOutcome(t, compute+" over "+dtype, trained(filepath.Join(x.dir, dtype+".f32")), trained(filepath.Join(x.dir, dtype)))
		}
		for kind := range map[string]bool{"int8": true, "int4": true} {
			all := maps.Clone(x.settings)
			all["quant"] = kind
			cpu := newTiny(t, all)
			out := filepath.Join(cpu.dir, "out")
			cpu.run(out, "--steps", "1")
			file := filepath.Join(out, "quantised_checkpoint", "base-"+kind+".gguf")
			x.readBlocks(file)
			x.storeBase(filepath.Join(x.dir, kind+".f32"), "F32", peft.Bytes)
			sameOutcome(t, compute+" over "+kind, trained(filepath.Join(x.dir, kind+".f32")), trained(file))
		}
	}
}

// readBlocks makes the weights those of a file in blocks.
func (x *tiny) readBlocks(path string) (matrices int) {
	x.t.Helper()
	file, err := gguf.Open(path)
	x.must(err)
	defer file.Close()
	for name := range x.weights {
		if len(x.shapes[name]) != 2 || strings.Contains(name, "_lora_") {
			continue
		}
		inFile, ok := naming.Translate(name, naming.SchemeMindFormers, naming.SchemeGGUF)
		tensor, there := file.Tensor(inFile)
		if !ok || !there {
			x.t.Fatalf("%s, %s, is not in the file", name, inFile)
		}
		now := decodeBlocks(x.t, tensor)
		if strings.Contains(inFile, "attn_q") || strings.Contains(inFile, "attn_k") {
			now = unpaired(now, 64, 16)
		}
		x.weights[name] = now
		matrices++
	}
	return matrices
}

// asBF16 and asF16 round numbers in place to even, and give their bits.
func asBF16(x []float32) (b []byte) {
	for i, v := range x {
		u := math.Float32bits(v)
		u = (u + 0x7fff + u>>16&1) &^ 0xffff
		x[i] = math.Float32frombits(u)
		b = binary.LittleEndian.AppendUint16(b, uint16(u>>16))
	}
	return b
}

func asF16(x []float32) (b []byte) {
	for i, v := range x {
		frac, exp := math.Frexp(math.Abs(float64(v)))
		e := max(exp, -13) // below, numbers are multiples of 2^-24
		units := math.RoundToEven(math.Ldexp(frac, exp-e+11))
		x[i] = float32(math.Copysign(math.Ldexp(units, e-11), float64(v)))
		u := uint16(units)
		if units >= 1024 {
			u += uint16(e+13) << 10
		}
		if math.Signbit(float64(v)) {
			u |= 1 << 15
		}
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// TestAscendRefuses: what a trainer for a card does not do, it says.
func TestAscendRefuses(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newTinyOnAscend(t, restlessOnAscend(nil))
	x.must(os.WriteFile(filepath.Join(x.dir, "base", "model.safetensors"), []byte("no tensors"), 0o666))
	mustContain(t, x.failing(1, x.command(filepath.Join(x.dir, "out"))), "cannot open the base weights")
	mustContain(t, x.failing(2, x.command(filepath.Join(x.dir, "out"), "--device", "cpu")), "this trainer was compiled for Ascend")
	mustContain(t, x.failing(2, x.command(filepath.Join(x.dir, "out"), "--device_id", "-1")), "device_id")
}
