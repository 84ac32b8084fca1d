// Package sharded reads and writes checkpoints that MindSpore shards over devices:
// strategy files, the layout of a Llama under data, model and pipeline parallelism,
// and the transformation of a tree of rank_N directories to one file or another
// tree. It must not know training, configs, nor any format but MindSpore's.
//
// Formats and rules: MindSpore ccsrc/utils/node_strategy.proto,
// python/mindspore/parallel/_tensor.py and _parallel_serialization.py.
package sharded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/protowire"
)

// File is a strategy file (message ParallelStrategyMap). Bytes of a binary file that
// was read are those of the file.
type File struct {
	Stage     int // current_stage
	Operators []Operator
	Params    []Param
}

// Operator is the sharding of one operator of the graph: per input, per dimension.
type Operator struct {
	Name  string
	Stage int
	Cuts  [][]int
}

// Param is the layout of one parameter. In a merged file its name begins with
// the stage it is in: 1-model.norm_out.weight.
type Param struct {
	Name   string
	Layout Layout
	Shapes [][]int // param_split_shape
	Offset [][]int // indices_offset
	Field  int
}

// maxFile bounds the size: a strategy file has about 130 bytes per parameter.
const maxFile = 256 << 20

// Read reads a strategy file.
func Read(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a strategy file: it has %d bytes", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s as a strategy file: %w", path, err)
	}
	return f, nil
}

// Parse reads a strategy file in memory.
func Parse(data []byte) (*File, error) {
	switch {
	case len(data) == 0:
		return nil, errors.New("it is empty")
	case data[0] == 0x0A:
		return nil, errors.New("it is a checkpoint")
	case data[0] == '{':
		return parseJSON(data)
	}
	f := &File{}
	err := protowire.Each(data, func(field int, v uint64, data []byte) error {
		switch {
		case field == 1 && data == nil:
			f.Stage = int(uint32(v))
		case field == 2 && data != nil:
			return f.operator(data)
		case field == 3 && data != nil:
			return f.param(data)
		default:
			return fmt.Errorf("it has an unknown field %d", field)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) operator(message []byte) error {
	var o Operator
	err := protowire.Each(message, func(field int, _ uint64, data []byte) error {
		switch {
		case field == 1 && data != nil:
			o.Name = string(data)
		case field == 2 && data != nil:
			return protowire.Each(data, func(field int, v uint64, data []byte) error {
				switch {
				case field == 1 && data == nil:
					o.Stage = int(uint32(v))
				case field == 2 && data != nil:
					return appendDims(&o.Cuts, data)
				default:
					return fmt.Errorf("operator %q has an unknown field %d", o.Name, field)
				}
				return nil
			})
		default:
			return fmt.Errorf("an operator has an unknown field %d", field)
		}
		return nil
	})
	f.Operators = append(f.Operators, o)
	return err
}

func (f *File) param(message []byte) error {
	var p Param
	var devices, maps [][]int
	err := protowire.Each(message, func(field int, _ uint64, data []byte) error {
		switch {
		case field == 1 && data != nil:
			p.Name = string(data)
		case field == 2 && data != nil:
			return protowire.Each(data, func(field int, v uint64, data []byte) error {
				switch {
				case field == 1 && data != nil:
					return appendDims(&devices, data)
				case field == 2 && data != nil:
					return appendDims(&maps, data)
				case field == 3 && data != nil:
					return appendDims(&p.Shapes, data)
				case field == 4 && data != nil:
					return appendDims(&p.Offset, data)
				case field == 5 && data == nil:
					p.Field = int(int32(v))
				case field == 6 && data == nil:
					p.Layout.OptStep = int(int32(v))
				case field == 7 && data == nil:
					p.Layout.OptSize = int(int32(v))
				default:
					return fmt.Errorf("the layout of %q has an unknown field %d", p.Name, field)
				}
				return nil
			})
		default:
			return fmt.Errorf("a parameter has an unknown field %d", field)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(devices) != 1 || len(maps) != 1 {
		return fmt.Errorf("the layout of %q has %d device matrices and %d tensor maps; one of each is supported", p.Name, len(devices), len(maps))
	}
	p.Layout.Devices, p.Layout.Map = devices[0], maps[0]
	if p.Field != 0 {
		return fmt.Errorf("the layout of %q is split by fields (%d), which is not supported", p.Name, p.Field)
	}
	if err := p.Layout.check(); err != nil {
		return fmt.Errorf("the layout of %q: %w", p.Name, err)
	}
	f.Params = append(f.Params, p)
	return nil
}

// appendDims reads a message of one repeated number, packed or not.
func appendDims(to *[][]int, message []byte) error {
	dims := []int{}
	err := protowire.Each(message, func(field int, v uint64, data []byte) error {
		if field != 1 {
			return fmt.Errorf("a list of sizes has an unknown field %d", field)
		}
		if data == nil {
			dims = append(dims, int(v))
			return nil
		}
		for len(data) > 0 {
			v, n := binary.Uvarint(data)
			if n <= 0 {
				return protowire.ErrCut
			}
			dims, data = append(dims, int(v)), data[n:]
		}
		return nil
	})
	*to = append(*to, dims)
	return err
}

// Bytes is the encoding of the file, as MindSpore writes it.
func (f *File) Bytes() []byte {
	b := protowire.AppendVarint(nil, 1, uint64(f.Stage))
	for _, o := range f.Operators {
		m := protowire.AppendVarint(nil, 1, uint64(o.Stage))
		m = appendLists(m, 2, o.Cuts)
		b = protowire.AppendBytes(b, 2, protowire.AppendBytes(protowire.AppendBytes(nil, 1, []byte(o.Name)), 2, m))
	}
	for _, p := range f.Params {
		m := appendLists(nil, 1, [][]int{p.Layout.Devices})
		m = appendLists(m, 2, [][]int{p.Layout.Map})
		m = appendLists(m, 3, p.Shapes)
		m = appendLists(m, 4, p.Offset)
		m = protowire.AppendVarint(m, 5, uint64(p.Field))
		m = protowire.AppendVarint(m, 6, uint64(p.Layout.OptStep))
		m = protowire.AppendVarint(m, 7, uint64(p.Layout.OptSize))
		b = protowire.AppendBytes(b, 3, protowire.AppendBytes(protowire.AppendBytes(nil, 1, []byte(p.Name)), 2, m))
	}
	return b
}

func appendLists(b []byte, field int, lists [][]int) []byte {
	for _, l := range lists {
		var m []byte
		for _, d := range l {
			m = protowire.AppendVarint(m, 1, uint64(d))
		}
		b = protowire.AppendBytes(b, field, m)
	}
	return b
}

// Write writes the file atomically.
func (f *File) Write(path string) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error { _, err := w.Write(f.Bytes()); return err })
}

// Merge merges the files of the stages of a pipeline, as MindSpore's
// merge_pipeline_strategys does: of several ranks of a stage, the first counts.
func Merge(files []*File) (*File, error) {
	out := &File{Stage: 1}
	seen := map[int]bool{}
	for _, f := range files {
		if len(f.Operators) == 0 || len(f.Params) == 0 {
			return nil, errors.New("a strategy file without operators or parameters cannot be merged: its stage is not known")
		}
		if f.Merged() {
			return nil, errors.New("a merged strategy file cannot be merged again")
		}
		stage := f.PipelineStage()
		if seen[stage] {
			continue
		}
		seen[stage] = true
		out.Operators = append(out.Operators, f.Operators...)
		for _, p := range f.Params {
			p.Name = fmt.Sprintf("%d-%s", stage, p.Name)
			out.Params = append(out.Params, p)
		}
	}
	return out, nil
}
