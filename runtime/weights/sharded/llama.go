package sharded

import (
	"fmt"
	"strings"

	"lorac/runtime/weights/naming"
)

// Degrees is the part of a parallel_config that determines the sharding of a Llama's
// weights (MindFormers r1.3 models/llama/llama_layer.py, llama_transformer.py,
// llama.py; MindPet lora_adapter.py for adapters).
type Degrees struct {
	Data, Model, Pipeline, Context int   // 0 is 1
	Offset                         []int // per stage, layers more or fewer than the even split; nil: none
	VocabDP                        bool  // vocab_emb_dp: embedding and output head are replicated
	OptimizerShard                 bool  // enable_parallel_optimizer
}

// thresholdBytes is the smallest size of a weight that the optimizer shards
// (parallel_optimizer_threshold, 64 KB by default).
const thresholdBytes = 64 << 10

func (d Degrees) String() string {
	s := fmt.Sprintf("data_parallel %d, model_parallel %d, pipeline_stage %d", max(d.Data, 1), max(d.Model, 1), max(d.Pipeline, 1))
	if d.Context > 1 {
		s += fmt.Sprintf(", context_parallel %d", d.Context)
	}
	if d.OptimizerShard {
		s += ", optimizer shards"
	}
	return s
}

// check rejects invalid degrees.
func (d Degrees) check() error {
	n := 1
	for _, x := range []int{d.Data, d.Model, d.Pipeline, d.Context} {
		if x < 0 || x > maxDevices || n*max(x, 1) > maxDevices {
			return fmt.Errorf("%v is not a valid number of devices", d)
		}
		n *= max(x, 1)
	}
	if d.Offset != nil && len(d.Offset) != max(d.Pipeline, 1) {
		return fmt.Errorf("offset has %d numbers, pipeline_stage is %d", len(d.Offset), max(d.Pipeline, 1))
	}
	return nil
}

// cut is the dimension that model parallelism splits, by the parameter's name after
// the layer.
var cut = map[string]int{
	"attention.wq": 0, "attention.wk": 0, "attention.wv": 0, "attention.w_qkv": 0, "attention.wo": 1,
	"feed_forward.w1": 0, "feed_forward.w3": 0, "feed_forward.w_gate_hidden": 0, "feed_forward.w2": 1,
}

// dimension is the dimension of a parameter that is split, −1 if it is replicated.
// vocab reports that it is also split by context_parallel.
func (d Degrees) dimension(name string) (dim int, vocab bool) {
	switch name {
	case "model.tok_embeddings.embedding_weight", "lm_head.weight":
		if d.VocabDP && d.Pipeline <= 1 { // disabled with several stages
			return -1, false
		}
		return 0, true
	}
	linear, factor, adapter := naming.SplitLoRA(name, naming.SchemeMindFormers)
	kind := ""
	if !adapter {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return -1, false
		}
		linear, kind = name[:dot], name[dot+1:]
	}
	layer := naming.Layer(linear)
	if layer < 0 {
		return -1, false
	}
	dim, ok := cut[strings.TrimPrefix(linear, fmt.Sprintf("model.layers.%d.", layer))]
	switch {
	case !ok:
		return -1, false
	case adapter && factor == naming.FactorA: // [rank, in]
		if dim == 0 {
			return -1, false
		}
		return 1, false
	case adapter: // [out, rank]
		if dim == 1 {
			return -1, false
		}
		return 0, false
	case kind == "bias" && dim == 1:
		return -1, false
	}
	return dim, false
}

// Layout is the sharding of a parameter over the devices of its stage. whole is its
// full shape and size the bytes of an element. If whole is nil, conditions on the
// shape are taken as met.
func (d Degrees) Layout(name string, dims int, whole []int, size int) Layout {
	dp, mp := max(d.Data, 1)*max(d.Context, 1), max(d.Model, 1)
	dim, vocab := d.dimension(name)
	if vocab {
		dp, mp = max(d.Data, 1), mp*max(d.Context, 1)
	}
	l := Alone(dims)
	l.Devices = []int{dp, mp}
	if dim < dims && dim >= 0 && mp > 1 && (whole == nil || !vocab || whole[dim]%mp == 0) {
		l.Map[dim] = 0
	}
	if d.OptimizerShard && whole != nil && dims > 0 {
		n := 1
		for _, m := range l.Map {
			n *= l.parts(m)
		}
		bytes := size
		for _, w := range whole {
			bytes *= w
		}
		repeat := l.Count() / n
		if repeat > 1 && bytes/n >= thresholdBytes && whole[0]/l.parts(l.Map[0])%repeat == 0 {
			l.OptStep, l.OptSize = n, repeat
		}
	}
	return l
}

// Stage is the pipeline stage of a parameter in a model with the given layers: the
// embedding is on the first, norm_out and lm_head on the last.
func (d Degrees) Stage(name string, layers int) (int, error) {
	pp := max(d.Pipeline, 1)
	layer := naming.Layer(name)
	switch {
	case layer < 0 && strings.HasPrefix(name, "model.tok_embeddings"):
		return 0, nil
	case layer < 0:
		return pp - 1, nil
	}
	sum := layers / pp * pp
	for _, n := range d.Offset {
		sum += n
	}
	if sum != layers {
		return 0, fmt.Errorf("%d layers do not fill %d stages with offset %v: their sum must be %d", layers, pp, d.Offset, layers)
	}
	end := 0
	for s := range pp {
		end += layers / pp
		if d.Offset != nil {
			end += d.Offset[s]
		}
		if layer < end {
			return s, nil
		}
	}
	return 0, fmt.Errorf("layer %d is none of %d", layer, layers)
}

// stateOf is the parameter that determines a tensor's layout: itself, or the
// parameter whose optimizer state it is.
func stateOf(name string, known func(string) bool) string {
	if param, ok := naming.StateOf(name); ok && !known(name) {
		return param
	}
	return name
}
