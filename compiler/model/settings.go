package model

import (
	"lorac/ir"
	"lorac/ir/diag"
)

// settings carries the constants of the job that are no part of the graph.
// The key of a setting is the path of a field of the trainer's job.
func (g *graph) settings() {
	c := g.c
	set := func(key string, v any, pos diag.Pos) {
		g.m.Settings = append(g.m.Settings, &ir.Setting{Key: key, Val: v, Pos: pos})
	}
	set("run_mode", c.RunMode.V, c.RunMode.At)
	set("seed", c.Seed.V, c.Seed.At)
	set("seq_length", c.Model.SeqLength.V, c.Model.SeqLength.At)
	set("vocab", c.Model.Vocab.V, c.Model.Vocab.At)
	set("bos_id", c.Model.BosID.V, c.Model.BosID.At)
	set("eos_ids", list(c.Model.EosIDs.V), c.Model.EosIDs.At)
	set("pad_id", c.Model.PadID.V, c.Model.PadID.At)
	set("ignore_id", c.Model.IgnoreID.V, c.Model.IgnoreID.At)
}

func list[T any](vs []T) []any {
	out := make([]any, len(vs))
	for i, v := range vs {
		out[i] = v
	}
	return out
}
