package weights

import (
	"fmt"
	"slices"
	"strings"

	"lorac/runtime/weights/safetensors"
)

// shards is a Meta checkpoint split for tensor parallelism: each file has one
// slice of every matrix (llama/model.py, ColumnParallelLinear,
// RowParallelLinear, ParallelEmbedding) and a full copy of every vector.
type shards struct {
	sets  []Set
	width int // hidden size of the model
}

func joinShards(sets []Set, paths []string) (Set, error) {
	s := &shards{sets: sets}
	norm, ok := Describe(sets[0], "norm.weight")
	if !ok || len(norm.Shape) != 1 {
		return nil, fmt.Errorf("%s has no norm.weight, which every shard must hold in full", paths[0])
	}
	s.width = norm.Shape[0]
	for _, name := range sets[0].Names() {
		first, _ := Describe(sets[0], name)
		for i, other := range sets[1:] {
			h, ok := Describe(other, name)
			if !ok || h.DType != first.DType || !slices.Equal(h.Shape, first.Shape) {
				return nil, fmt.Errorf("%s is %s %v in %s, and %s %v in %s; are they shards of one model?", name, first.DType, first.Shape, paths[0], h.DType, h.Shape, paths[i+1])
			}
		}
	}
	return s, nil
}

// axis is the dimension along which a tensor is split, or -1 if it is replicated.
// Llama 2 splits the embedding by columns, Llama 3 by rows.
func (s *shards) axis(name string, shape []int) int {
	switch leaf := strings.TrimSuffix(name[strings.LastIndexByte(strings.TrimSuffix(name, ".weight"), '.')+1:], ".weight"); {
	case len(shape) != 2:
		return -1
	case leaf == "wo" || leaf == "w2":
		return 1
	case leaf == "tok_embeddings" && shape[1] != s.width:
		return 1
	}
	return 0
}

func (s *shards) Names() []string { return s.sets[0].Names() }

func (s *shards) Header(name string) (Header, bool) {
	h, ok := Describe(s.sets[0], name)
	if axis := s.axis(name, h.Shape); ok && axis >= 0 {
		h.Shape = slices.Clone(h.Shape)
		h.Shape[axis] *= len(s.sets)
	}
	h.Chunks = nil
	return h, ok
}

// Tensor concatenates the slices into new memory.
func (s *shards) Tensor(name string) (Tensor, bool) {
	h, ok := s.Header(name)
	if !ok {
		return Tensor{}, false
	}
	var parts []safetensors.Tensor
	for _, set := range s.sets {
		t, _ := set.Tensor(name)
		parts = append(parts, t)
	}
	axis := s.axis(name, parts[0].Shape)
	if axis < 0 {
		return parts[0], true
	}
	rows := 1 // runs that alternate between the shards
	if axis == 1 {
		rows = h.Shape[0]
	}
	var out []byte
	for r := range rows {
		for _, p := range parts {
			n := len(p.Data) / rows
			out = append(out, p.Data[r*n:(r+1)*n]...)
		}
	}
	return tensorOf(name, h.DType, h.Shape, out), true
}

func (s *shards) Close() { closeAll(s.sets) }
