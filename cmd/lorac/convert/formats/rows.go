package formats

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"lorac/kernels"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/peft"
)

// FromPairs is the row of a matrix in rotary pairs that is row i of the one in
// halves: row t·d/2 + j of a head is its row 2j + t (transformers
// convert_llama_weights_to_hf.py, permute). d is the width of a head.
func FromPairs(i, d int) int {
	r := i % d
	return i - r + 2*(r%(d/2)) + r/(d/2)
}

// FromHalves is the row of a matrix in halves that is row i of the one in
// rotary pairs: the inverse of FromPairs (llama.cpp convert_hf_to_gguf.py,
// LlamaModel.permute).
func FromHalves(i, d int) int {
	r := i % d
	return i - r + r%2*(d/2) + r/2
}

// bytesOfMemory are the bytes of a parameter in memory.
func bytesOfMemory(b []byte) func() ([]byte, error) { return func() ([]byte, error) { return b, nil } }

// floats are the elements of a parameter, its rows in halves.
func (p *Param) floats() ([]float32, error) {
	var b bytes.Buffer
	if err := p.write(&b, "F32", 0); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return peft.Floats("F32", b.Bytes())
}

// order says which row of a parameter is row i of what is written, nil for the
// same; pairs is the width of a head if what is written has rotary pairs.
func (p *Param) order(pairs int) func(i int) int {
	switch {
	case p.headDim > 0 && pairs == 0:
		return func(i int) int { return FromPairs(i, p.headDim) }
	case p.headDim == 0 && pairs > 0:
		return func(i int) int { return FromHalves(i, pairs) }
	}
	return nil
}

// blockBytes is how many bytes are converted at a time.
const blockBytes = 1 << 20

// write writes a parameter in another type and order of rows.
func (p *Param) write(w io.Writer, dtype string, pairs int) error {
	data, err := p.data()
	if err != nil {
		return err
	}
	order := p.order(pairs)
	if order == nil && dtype == p.DType {
		_, err := w.Write(data)
		return err
	}
	rows := 1
	if len(p.Shape) == 2 || order != nil {
		rows = p.Shape[0]
	}
	if rows == 0 || len(data)%rows != 0 {
		return fmt.Errorf("%d bytes are no %d rows", len(data), rows)
	}
	n := len(data) / rows
	step := max(1, blockBytes/max(n, 1))
	for at := 0; at < rows; at += step {
		to := min(at+step, rows)
		block := data[at*n : to*n]
		if order != nil {
			block = make([]byte, 0, (to-at)*n)
			for i := at; i < to; i++ {
				block = append(block, data[order(i)*n:][:n]...)
			}
		}
		if dtype != p.DType {
			x, err := Numbers(p.DType, block, to-at)
			if err != nil {
				return err
			}
			if block, err = Encode(x, dtype); err != nil {
				return err
			}
		}
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// InBlocks reports whether numbers of a type share a scale, so that they can
// be neither split nor stored elsewhere as they are.
func InBlocks(dtype string) bool {
	d, ok := kernels.DTypeNamed(dtype)
	return ok && d.InBlocks()
}

// Numbers are the elements of some rows as f32.
func Numbers(dtype string, data []byte, rows int) ([]float32, error) {
	d, ok := kernels.DTypeNamed(dtype)
	block, known := gguf.TypeOf(dtype)
	if !ok || !known || !d.InBlocks() {
		return peft.Floats(dtype, data)
	}
	if len(data)%(block.Bytes*rows) != 0 {
		return nil, fmt.Errorf("%d bytes are no %d rows of blocks of %s", len(data), rows, dtype)
	}
	w, err := kernels.WeightFromBytes(data, d, rows, len(data)/rows/block.Bytes*block.Elems)
	if err != nil {
		return nil, err
	}
	return w.Float32s(), nil
}

// Encode stores f32 in a type, rounded to the nearest, ties to even.
func Encode(x []float32, dtype string) ([]byte, error) {
	switch dtype {
	case "F32":
		return peft.Bytes(x), nil
	case "F16", "BF16":
		round, most := kernels.ToHalf, float32(65519.99)
		if dtype == "BF16" {
			round, most = kernels.ToBFloat, math.Float32frombits(0x7F7F7FFF)
		}
		out := make([]byte, 0, 2*len(x))
		for _, v := range x {
			if v > most || v < -most {
				return nil, fmt.Errorf("the number %g is too great for %s", v, dtype)
			}
			out = binary.LittleEndian.AppendUint16(out, round(v))
		}
		return out, nil
	case "F64":
		out := make([]byte, 0, 8*len(x))
		for _, v := range x {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(float64(v)))
		}
		return out, nil
	}
	return nil, fmt.Errorf("numbers cannot be stored as %s here", dtype)
}
