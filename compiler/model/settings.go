package model

import (
	"lorac/compiler/config"
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
	m, r, sc := &c.Model, &c.Run, &c.Schedule
	set("run_mode", c.RunMode.V, c.RunMode.At)
	set("seed", c.Seed.V, c.Seed.At)
	set("output", c.Output.V, c.Output.At)
	set("load_checkpoint", c.LoadCheckpoint.V, c.LoadCheckpoint.At)
	set("resume", c.Resume.V, c.Resume.At)
	if c.AutoTrans.V {
		set("auto_trans", true, c.AutoTrans.At)
	}
	if c.SrcStrategy.V != "" {
		set("src_strategy", c.SrcStrategy.V, c.SrcStrategy.At)
	}
	if c.Compute.V != "f32" {
		set("compute", c.Compute.V, c.Compute.At)
	}
	if c.Quant.V != "" {
		set("quant.kind", c.Quant.V, c.Quant.At)
		for _, s := range []struct {
			key string
			v   config.Val[int]
		}{{"width", m.Hidden}, {"hidden", m.FFN}, {"layers", m.Layers}, {"heads", m.Heads}, {"kv_heads", m.KVHeads}} {
			set("quant."+s.key, s.v.V, s.v.At)
		}
		set("quant.eps", m.RMSEps.V, m.RMSEps.At)
		set("quant.theta", m.Theta.V, m.Theta.At)
	}
	set("tokenizer", c.Tokenizer.V, c.Tokenizer.At)
	set("seq_length", m.SeqLength.V, m.SeqLength.At)
	set("vocab", m.Vocab.V, m.Vocab.At)
	set("bos_id", m.BosID.V, m.BosID.At)
	set("eos_ids", list(m.EosIDs.V), m.EosIDs.At)
	set("pad_id", m.PadID.V, m.PadID.At)
	set("ignore_id", m.IgnoreID.V, m.IgnoreID.At)

	set("epochs", r.Epochs.V, r.Epochs.At)
	set("batch_size", r.BatchSize.V, r.BatchSize.At)
	set("grad_accum", r.GradAccum.V, r.GradAccum.At)
	sink := 0
	if r.SinkMode.V {
		sink = r.SinkSize.V
	}
	set("sink_size", sink, r.SinkSize.At)
	set("per_token_loss", r.PerTokenLoss.V, r.PerTokenLoss.At)
	for _, d := range []struct {
		name string
		config.Dataset
	}{{"train_data", c.Train}, {"eval_data", c.Eval}} {
		set(d.name+".path", d.Dir.V, d.Dir.At)
		set(d.name+".shuffle", d.Shuffle.V, d.Shuffle.At)
		set(d.name+".drop_remainder", d.DropRemainder.V, d.DropRemainder.At)
		set(d.name+".repeat", d.Repeat.V, d.Repeat.At)
		set(d.name+".format", d.Format.V, d.Format.At)
		set(d.name+".prompt", d.Prompt.V, d.Prompt.At)
		if c.FullBatch && d.name == "train_data" {
			set(d.name+".compound", true, c.UseParallel.At)
		}
		some := func(name string, v config.Val[int]) {
			if v.V > 0 {
				set(d.name+"."+name, v.V, v.At)
			}
		}
		some("take", d.Take)
		some("samples", d.Samples)
		some("seq_length", d.Cut)
		if d.Pack.V != "" {
			set(d.name+".pack", d.Pack.V, d.Pack.At)
		}
		if d.EODReset.V {
			set(d.name+".eod_reset", true, d.EODReset.At)
			set(d.name+".eod", d.EOD.V, d.EOD.At)
		}
	}
	set("do_eval", c.DoEval.V, c.DoEval.At)
	set("eval_steps", c.EvalSteps.V, c.EvalSteps.At)
	if c.EvalEpochs.V > 0 {
		set("eval_epochs", c.EvalEpochs.V, c.EvalEpochs.At)
	}
	if len(c.Metrics) > 0 {
		set("metrics", list(c.Metrics), c.EvalSteps.At)
	}
	if c.LogEvery.V > 1 {
		set("log_every", c.LogEvery.V, c.LogEvery.At)
	}

	set("schedule.type", sc.Type.V, sc.Type.At)
	set("schedule.lr", sc.LR.V, sc.LR.At)
	set("schedule.lr_end", sc.LREnd.V, sc.LREnd.At)
	set("schedule.warmup_init", sc.WarmupInit.V, sc.WarmupInit.At)
	set("schedule.warmup_ratio", ratio(sc), sc.WarmupRatio.At)
	set("schedule.warmup_steps", sc.WarmupSteps.V, sc.WarmupSteps.At)
	set("schedule.warmup_epochs", sc.WarmupEpochs.V, sc.WarmupEpochs.At)
	set("schedule.total_steps", sc.TotalSteps.V, sc.TotalSteps.At)
	set("schedule.decay_steps", sc.DecaySteps.V, sc.DecaySteps.At)
	set("schedule.num_cycles", sc.NumCycles.V, sc.NumCycles.At)
	set("schedule.power", sc.Power.V, sc.Power.At)
	set("schedule.eta_min", sc.EtaMin.V, sc.EtaMin.At)
	for _, r := range []struct {
		name string
		config.Val[float64]
	}{{"decay_ratio", sc.DecayRatio}, {"decay_start_ratio", sc.DecayStartRatio}} {
		if r.Set() {
			set("schedule."+r.name, r.V, r.At)
		}
	}
	switch sc.Type.V {
	case "cool_down":
		set("schedule.keep_steps", sc.KeepSteps.V, sc.KeepSteps.At)
		set("schedule.final_steps", sc.FinalSteps.V, sc.FinalSteps.At)
		set("schedule.lr_end2", sc.LREnd2.V, sc.LREnd2.At)
	case "warmup_stable_decay":
		set("schedule.decay_start", sc.DecayStart.V, sc.DecayStart.At)
	}
	set("schedule.t_max", sc.TMax.V, sc.TMax.At)
	set("schedule.t_0", sc.T0.V, sc.T0.At)
	set("schedule.t_mult", sc.TMult.V, sc.TMult.At)

	if w := &c.Wrapper.Scale; w.Type.Set() || w.Value.Set() {
		set("loss_scale.type", w.Type.V, w.Type.At)
		set("loss_scale.value", w.Value.V, w.Value.At)
		if w.Type.V != "static" {
			set("loss_scale.factor", w.Factor.V, w.Factor.At)
			set("loss_scale.window", w.Window.V, w.Window.At)
		}
		if w.Type.V == "adaptive" {
			set("loss_scale.min_window", w.MinWindow.V, w.MinWindow.At)
			set("loss_scale.max_window", w.MaxWindow.V, w.MaxWindow.At)
		}
	}
	if c.CheckNaN.V {
		set("check_nan", true, c.CheckNaN.At)
	}

	set("checkpoint.prefix", c.Checkpoint.Prefix.V, c.Checkpoint.Prefix.At)
	set("checkpoint.save_steps", c.Checkpoint.SaveSteps.V, c.Checkpoint.SaveSteps.At)
	if c.Checkpoint.SaveSeconds.V > 0 {
		set("checkpoint.save_seconds", c.Checkpoint.SaveSeconds.V, c.Checkpoint.SaveSeconds.At)
	}
	set("checkpoint.keep_max", c.Checkpoint.KeepMax.V, c.Checkpoint.KeepMax.At)

	if c.Checkpoint.Format.V == "ckpt" {
		set("checkpoint.format", "ckpt", c.Checkpoint.Format.At)
		set("checkpoint.network", c.Checkpoint.Network.V, c.Checkpoint.Network.At)
		set("checkpoint.trainable", c.Checkpoint.Trainable.V, c.Checkpoint.Trainable.At)
	}

	if l := c.LoRA; l != nil {
		set("lora.rank", l.Rank.V, l.Rank.At)
		set("lora.alpha", l.Alpha.V, l.Alpha.At)
		set("lora.dropout", l.Dropout.V, l.Dropout.At)
		set("lora.targets", list(c.Targets()), l.TargetModules.At)
	}

	p := &c.Predict
	set("predict.max_length", p.MaxLength.V, p.MaxLength.At)
	for _, x := range []struct {
		name string
		config.Val[int]
	}{{"max_new", p.MaxNew}, {"min_length", p.MinLength}, {"min_new", p.MinNew}} {
		if x.V > 0 {
			set("predict."+x.name, x.V, x.At)
		}
	}
	if len(p.Input.V) > 0 {
		set("predict.input", list(p.Input.V), p.Input.At)
	}
	set("predict.do_sample", p.DoSample.V, p.DoSample.At)
	set("predict.top_k", p.TopK.V, p.TopK.At)
	set("predict.top_p", p.TopP.V, p.TopP.At)
	set("predict.temperature", p.Temperature.V, p.Temperature.At)
	set("predict.repetition_penalty", p.RepetitionPenalty.V, p.RepetitionPenalty.At)
}

// ratio is the warm-up ratio, −1 where steps or epochs say it.
func ratio(s *config.Schedule) float64 {
	if !s.WarmupRatio.Set() {
		return -1
	}
	return s.WarmupRatio.V
}

func list[T any](vs []T) []any {
	out := make([]any, len(vs))
	for i, v := range vs {
		out[i] = v
	}
	return out
}
