package cost

import (
	"slices"
	"strings"

	"lorac/ir"
)

// TensorBytes is what a process sends when n of them have a part of each layer, as
// Megatron cuts it: for a micro-batch of so many tokens, all supervised, in sums that
// its layers wait for, and for the gradients of adapters that are sums, once a step.
// Where they divide the tokens, too, inputs that the backward needs whole are gathered
// a second time.
func TensorBytes(m *ir.Module, n, tokens int, divided bool) (bytes float64, sums int) {
	hidden, layers := m.SizeOf("hidden"), m.SizeOf("layers")
	sums = 4*layers + 1                                 // of the embedding, two a layer in each direction, the head's; the lowest gradient is not needed
	if !adapts(m, ".wq.a", ".wk.a", ".wv.a", ".wo.a") { // nor that of the feed-forward network above it
		sums--
	}
	numbers := sums*tokens*hidden + 2*tokens // two a row of the head
	for _, s := range m.Storages {
		if s.Kind == ir.Param && s.Trainable && partial(s.Name) {
			numbers += s.Count() * s.Type.Elems(nil)
		}
	}
	bytes = 4 * 2 * float64(n-1) / float64(n) * float64(numbers)
	if divided {
		again := layersThat(m, ".wq", ".wk", ".wv") + 1 // and what enters the last layer, whose attention is of live rows alone
		if n := layersThat(m, ".w1", ".w3"); n > 0 {
			again += n - 1 // the last layer has its rows whole
		}
		bytes += 4 * float64(n-1) / float64(n) * float64(again*tokens*hidden)
		sums += again
	}
	return bytes, sums
}

// layersThat counts the layers in which a gradient of some of the linears is due, whose
// input is the same.
func layersThat(m *ir.Module, linears ...string) (n int) {
	counted := map[string]bool{}
	for _, s := range m.Storages {
		if s.Kind != ir.Param || !s.Trainable {
			continue
		}
		for _, l := range linears {
			layers, leaf, ok := strings.Cut(s.Name, l+".")
			if ok && leaf != "bias" && !counted[layers] {
				counted[layers] = true
				n += s.Count()
			}
		}
	}
	return n
}

// adapts reports whether some parameter that trains has a name with one of the ends.
func adapts(m *ir.Module, ends ...string) bool {
	return slices.ContainsFunc(m.Storages, func(s *ir.Storage) bool {
		return s.Kind == ir.Param && s.Trainable && slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(s.Name, end) })
	})
}

// partial reports whether the gradient of a factor of an adapter is a sum over the
// processes: it is that of the factor which all have whole.
func partial(name string) bool {
	for _, column := range []string{".wq.a", ".wk.a", ".wv.a", ".w1.a", ".w3.a", ".wo.b", ".w2.b"} {
		if strings.HasSuffix(name, column) {
			return true
		}
	}
	return false
}

// TensorForecast is a micro-batch of so many tokens on n processes that have a part of
// each layer. Each sum waits for the layer before it, and the next layer for it.
func TensorForecast(m *ir.Module, n, tokens int, rate float64, l Link) Forecast {
	bytes, sums := TensorBytes(m, n, tokens, false)
	flops := RowFLOPsOf(m).Of(Same(1, tokens)) / float64(n)
	return ForecastOf(flops, flops, rate, bytes/l.Bytes()+2*float64(sums)*l.Delay.Seconds())
}

// PipelineForecast is a step of so many micro-batches of one row each, whose layers n
// processes divide, if their bytes are on the wire while others compute. Compute is then
// that of a process without waiting; Wire is what it waits, for the first and the last
// micro-batch to pass all others, and for the wire where that is slower than they are.
func PipelineForecast(m *ir.Module, n, micro, tokens int, rate float64, l Link) Forecast {
	stage := RowFLOPsOf(m).Of(Same(1, tokens)) / float64(n) / rate
	edge := 4 * float64(tokens*m.SizeOf("hidden")) / l.Bytes()
	all := max(stage, 2*edge)*float64(micro+n-1) + 2*float64(n-1)*l.Delay.Seconds()
	f := Forecast{Compute: stage * float64(micro), Step: all}
	f.Wire, f.Efficiency = all-f.Compute, f.Compute/all
	return f
}

// MeshStep is a step that the processes of a mesh divide.
type MeshStep struct {
	Rows, Units, Tokens int // rows, units of them, tokens of each row
	// Wires is what one of so many processes sends or receives for the sum of gradients.
	Wires func(processes int) (bytes, toOwners int64, rounds int)
}

// MeshForecast is the step of a job on a mesh: m is the module of one process. Rows are
// divided first; what a pipeline sends is on the wire while others compute; the sums of
// layers that are shared wait for it.
func MeshForecast(m *ir.Module, mesh *ir.Mesh, s MeshStep, rate float64, l Link) Forecast {
	lanes, stages, parts := mesh.Axis(ir.Data)*mesh.Axis(ir.Optimizer), mesh.Axis(ir.Stage), mesh.Axis(ir.Model)
	most := (s.Rows + lanes - 1) / lanes // of a lane
	micro := max(min((s.Units+lanes-1)/lanes, most), 1)
	tokens := most * s.Tokens / micro
	row := RowFLOPsOf(m).Of(Same(1, s.Tokens))
	compute := row * float64(most) / float64(stages*parts) / rate
	turns := float64(micro+stages-1) / float64(micro) // the first and the last wait for all stages
	wire := 0.0
	if stages > 1 {
		edge := 4 * float64(tokens*m.SizeOf("hidden")) / l.Bytes()
		compute = max(compute, 2*edge*float64(micro))
		wire += 2 * float64(stages-1) * l.Delay.Seconds()
	}
	if parts > 1 {
		bytes, sums := TensorBytes(m, parts, tokens, mesh.Divided())
		wire += float64(micro) * (bytes/l.Bytes() + 2*float64(sums)*l.Delay.Seconds()) / float64(stages)
	}
	if lanes > 1 {
		bytes, toOwners, rounds := s.Wires(lanes)
		share := int64(stages * parts)
		wire += l.Exchange(bytes/share, toOwners/share, rounds)
		if shards := mesh.Axis(ir.Optimizer); shards > 1 && lanes > shards { // what is summed in all is gathered in each group
			wire += 4 * float64(Trained(m)/shards*(shards-1)) / float64(share) / l.Bytes()
		}
	}
	f := Forecast{Compute: compute, Step: compute*turns + wire}
	f.Wire = f.Step - compute
	f.Efficiency = row * float64(s.Rows) / float64(mesh.Size()) / rate / f.Step
	return f
}
