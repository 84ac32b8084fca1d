// Package synthetic makes weights and rows of random numbers, for measuring:
// always the same, on any machine.
package synthetic

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/convert/formats"
	"lorac/compiler/config"
	"lorac/kernels"
	"lorac/runtime/rng"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

// Base is the tensors of a base of the config's shapes, made as they are written,
// and the number of parameters: element i of a tensor is
//
//	u = splitmix64(fnv1a64(name) + seed·0xD1342543DE82EF95 + i) >> 40
//	w = (u/2²⁴ − ½)·2·√3·0.02, norms all ones
//
// under its Hugging Face name, so that another program can make the same. stored
// is f32, f16 or bf16.
func Base(c *config.Config, stored string, seed int) (entries []safetensors.Entry, params int, err error) {
	tensors, err := build.Tensors(c)
	if err != nil {
		return nil, 0, err
	}
	dtype := strings.ToUpper(stored)
	for _, t := range tensors {
		hf := naming.HF(t.Name)
		if hf == "" {
			return nil, 0, fmt.Errorf("%s has no Hugging Face name (qkv_concat): use a config without it", t.Name)
		}
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		params += n
		entries = append(entries, safetensors.Entry{Name: hf, DType: dtype, Shape: t.Shape,
			Write: func(w io.Writer) error { return writeTensor(w, hf, n, len(t.Shape) == 1, seed, dtype) }})
	}
	return entries, params, nil
}

// Bytes is what a base of so many parameters takes as it is stored.
func Bytes(params int, stored string) int {
	if stored == "f32" {
		return 4 * params
	}
	return 2 * params
}

// writeTensor makes a tensor piece by piece, on all threads.
func writeTensor(w io.Writer, name string, n int, ones bool, seed int, dtype string) error {
	stream := rng.Named(name, seed)
	bound := 2 * math.Sqrt(3) * 0.02
	const part, block = 1 << 22, 1 << 16
	buf := make([]float32, min(n, part))
	k := kernels.New(build.DefaultThreads())
	defer k.Close()
	for at := 0; at < n; at += part {
		x := buf[:min(part, n-at)]
		k.Parallel((len(x)+block-1)/block, func(_, t int) {
			for i := t * block; i < min((t+1)*block, len(x)); i++ {
				x[i] = 1
				if !ones {
					x[i] = float32((stream.Unit(at+i) - 0.5) * bound)
				}
			}
		})
		if _, err := w.Write(Encode(x, dtype)); err != nil {
			return err
		}
	}
	return nil
}

// Encode stores numbers that every type can hold.
func Encode(x []float32, dtype string) []byte {
	b, err := formats.Encode(x, dtype)
	if err != nil {
		panic("BUG: synthetic: " + err.Error())
	}
	return b
}

// Fill makes numbers from −½ to ½.
func Fill(x []float32) {
	for i := range x {
		x[i] = float32(rng.Mix(uint64(i))>>40)/(1<<24) - 0.5
	}
}

// Rows writes a file of rows of n+1 random ids of a vocabulary: each is n live
// tokens.
func Rows(path string, rows, n, vocab int) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		ids := make([]int32, n+1)
		for r := range rows {
			for i := range ids {
				ids[i] = int32(3 + rng.Mix(uint64(r*(n+1)+i))%uint64(vocab-3))
			}
			line, err := json.Marshal(map[string][]int32{"input_ids": ids})
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}
