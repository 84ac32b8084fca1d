package model

import (
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/ir/diag"
	"lorac/runtime/job"
)

// settings carries the constants of the job that are no part of the graph.
func (g *graph) settings() {
	j := &typed{at: map[any]diag.Pos{}}
	j.fill(g.c)
	for _, s := range j.Settings() {
		g.m.Settings = append(g.m.Settings, &ir.Setting{Key: s.Key, Val: s.Value, Pos: j.at[s.Field]})
	}
}

// typed is the job of a config, and the places in the config that its fields
// come from, by the field's address.
type typed struct {
	job.Job
	at map[any]diag.Pos
}

// set gives a field of the job the value of a key.
func set[T any](j *typed, field *T, v config.Val[T]) {
	*field = v.V
	j.at[field] = v.At
}

// from is a value that a key decides, though it is not the key's own.
func from[T any](v T, at diag.Pos) config.Val[T] { return config.Val[T]{V: v, At: at} }

// positive is a number of a key where numbers below 1 mean none.
func positive(v config.Val[int]) config.Val[int] { return from(max(v.V, 0), v.At) }

// fill sets each field of the job from its key.
func (j *typed) fill(c *config.Config) {
	m, r := &c.Model, &c.Run
	set(j, &j.RunMode, c.RunMode)
	set(j, &j.Seed, c.Seed)
	set(j, &j.Output, c.Output)
	set(j, &j.LoadCheckpoint, c.LoadCheckpoint)
	set(j, &j.Resume, c.Resume)
	set(j, &j.AutoTrans, c.AutoTrans)
	set(j, &j.SrcStrategy, c.SrcStrategy)
	if c.Compute.V != "f32" {
		set(j, &j.Compute, c.Compute)
	}
	if c.Quant.V != "" {
		set(j, &j.Quant.Kind, c.Quant)
		set(j, &j.Quant.Width, m.Hidden)
		set(j, &j.Quant.Hidden, m.FFN)
		set(j, &j.Quant.Layers, m.Layers)
		set(j, &j.Quant.Heads, m.Heads)
		set(j, &j.Quant.KvHeads, m.KVHeads)
		set(j, &j.Quant.Eps, m.RMSEps)
		set(j, &j.Quant.Theta, m.Theta)
	}
	set(j, &j.Tokenizer, c.Tokenizer)
	set(j, &j.SpecialTokens, c.Special)
	j.ChatTemplate = c.ChatTemplate
	for to, said := range map[*string]config.Val[bool]{&j.AddBOS: c.AddBOS, &j.AddEOS: c.AddEOS} {
		if said.Set() { // else the tokenizer's files say it
			set(j, to, from(map[bool]string{true: "True", false: "False"}[said.V], said.At))
		}
	}
	set(j, &j.SeqLength, m.SeqLength)
	set(j, &j.Vocab, m.Vocab)
	set(j, &j.BosID, m.BosID)
	set(j, &j.EosIDs, m.EosIDs)
	set(j, &j.PadID, m.PadID)
	set(j, &j.IgnoreID, m.IgnoreID)
	if mode := c.RunMode.V; c.LoRA == nil && (mode == "train" || mode == "finetune") {
		set(j, &j.NormEps, m.RMSEps)
	}

	set(j, &j.Epochs, r.Epochs)
	set(j, &j.BatchSize, r.BatchSize)
	set(j, &j.GradAccum, r.GradAccum)
	j.devices(&c.Devices)
	set(j, &j.SinkSize, from(0, r.SinkSize.At))
	if r.SinkMode.V {
		set(j, &j.SinkSize, r.SinkSize)
	}
	set(j, &j.PerTokenLoss, r.PerTokenLoss)
	j.data(&j.TrainData, &c.Train)
	j.data(&j.EvalData, &c.Eval)
	set(j, &j.DoEval, c.DoEval)
	set(j, &j.EvalSteps, positive(c.EvalSteps))
	set(j, &j.EvalEpochs, positive(c.EvalEpochs))
	set(j, &j.EarlyStopping.Patience, c.Patience)
	set(j, &j.EarlyStopping.Threshold, c.Threshold)
	set(j, &j.LoadBest, c.LoadBest)
	set(j, &j.Metrics, from(c.Metrics, c.EvalSteps.At))
	if c.LogEvery.V > 1 {
		set(j, &j.LogEvery, c.LogEvery)
	}
	j.schedule(&c.Schedule)
	if o := &c.Optimizer; o.Rule == "adafactor" && o.RelativeStep.V { // the rule computes the rate, the schedule says what it is
		set(j, &j.Schedule.Type, from(map[bool]string{false: "relative", true: "relative_warmup"}[o.WarmupInit.V], o.RelativeStep.At))
		set(j, &j.Schedule.LR, from(1e-2, o.RelativeStep.At))
	}
	if w := &c.Wrapper.Scale; w.Type.Set() || w.Value.Set() {
		set(j, &j.LossScale.Type, w.Type)
		set(j, &j.LossScale.Value, w.Value)
		set(j, &j.LossScale.Factor, w.Factor)
		set(j, &j.LossScale.Window, w.Window)
		set(j, &j.LossScale.MinWindow, w.MinWindow)
		set(j, &j.LossScale.MaxWindow, w.MaxWindow)
	}
	set(j, &j.CheckNaN, c.CheckNaN)
	j.checkpoint(&c.Checkpoint)
	if l := c.LoRA; l != nil {
		set(j, &j.LoRA.Rank, l.Rank)
		set(j, &j.LoRA.Alpha, l.Alpha)
		set(j, &j.LoRA.RSLoRA, l.RSLoRA)
		set(j, &j.LoRA.DoRA, l.DoRA)
		set(j, &j.LoRA.Modules, from(c.SavedModules(), l.ModulesToSave.At))
		set(j, &j.LoRA.Added, l.AddedTokens)
		set(j, &j.LoRA.Tied, from(c.TiesSaved(), l.Tying.At))
		if ranks, alphas := c.Uneven(); len(ranks)+len(alphas) > 0 {
			set(j, &j.LoRA.RankOf, from(ranks, l.TargetModules.At))
			set(j, &j.LoRA.AlphaOf, from(alphas, l.TargetModules.At))
		}
		set(j, &j.LoRA.Dropout, l.Dropout)
		set(j, &j.LoRA.Targets, from(c.Targets(), l.TargetModules.At))
	}
	j.predict(&c.Predict)
	j.Keys = keys(c)
}

func (j *typed) devices(c *config.Devices) {
	d := &j.Devices
	if c.Units.V > 0 {
		set(j, &d.Units, c.Units)
	}
	if c.Mode.V == "" {
		return
	}
	set(j, &d.Count, c.Count)
	set(j, &d.Mode, c.Mode)
	set(j, &d.FullBatch, c.FullBatch)
	set(j, &d.Replicas, c.Replicas)
	set(j, &d.Micro, c.Micro)
	set(j, &d.Interleave, c.Interleave)
	set(j, &d.Sum, c.Sum)
	set(j, &d.Shard, c.Shard)
}

func (j *typed) data(d *job.Data, c *config.Dataset) {
	set(j, &d.Path, c.Dir)
	set(j, &d.Shuffle, c.Shuffle)
	set(j, &d.DropRemainder, c.DropRemainder)
	set(j, &d.Repeat, c.Repeat)
	set(j, &d.Format, c.Format)
	set(j, &d.Prompt, c.Prompt)
	set(j, &d.TrainOn, c.TrainOn)
	set(j, &d.Take, positive(c.Take))
	set(j, &d.Samples, positive(c.Samples))
	set(j, &d.SeqLength, positive(c.Cut))
	set(j, &d.Pack, c.Pack)
	set(j, &d.EodReset, c.EODReset)
	set(j, &d.Eod, c.EOD)
	set(j, &d.NoLabels, c.NoLabels)
	set(j, &d.Order, c.Order)
	set(j, &d.Split, c.Split)
	set(j, &d.InstructionKey, c.InstructionKey)
	set(j, &d.InputKey, c.InputKey)
	set(j, &d.OutputKey, c.OutputKey)
}

func (j *typed) schedule(c *config.Schedule) {
	s := &j.Schedule
	set(j, &s.Type, c.Type)
	set(j, &s.LR, c.LR)
	if c.ScaleFactor.V > 0 {
		set(j, &s.ScaleFactor, c.ScaleFactor)
	}
	set(j, &s.LREnd, c.LREnd)
	set(j, &s.WarmupInit, c.WarmupInit)
	set(j, &s.WarmupRatio, from(-1.0, c.WarmupRatio.At))
	if c.WarmupRatio.Set() {
		set(j, &s.WarmupRatio, c.WarmupRatio)
	}
	set(j, &s.WarmupSteps, c.WarmupSteps)
	set(j, &s.WarmupEpochs, c.WarmupEpochs)
	set(j, &s.TotalSteps, c.TotalSteps)
	set(j, &s.DecaySteps, c.DecaySteps)
	set(j, &s.NumCycles, c.NumCycles)
	set(j, &s.Power, c.Power)
	set(j, &s.EtaMin, c.EtaMin)
	if c.DecayRatio.Set() {
		set(j, &s.DecayRatio, c.DecayRatio)
	}
	if c.DecayStartRatio.Set() {
		set(j, &s.DecayStartRatio, c.DecayStartRatio)
	}
	set(j, &s.KeepSteps, c.KeepSteps)
	set(j, &s.FinalSteps, c.FinalSteps)
	set(j, &s.LREnd2, c.LREnd2)
	set(j, &s.DecayStart, c.DecayStart)
	set(j, &s.TMax, c.TMax)
	set(j, &s.T0, c.T0)
	set(j, &s.TMult, c.TMult)
}

func (j *typed) checkpoint(c *config.Checkpoint) {
	k := &j.Checkpoint
	set(j, &k.Prefix, c.Prefix)
	set(j, &k.SaveSteps, c.SaveSteps)
	set(j, &k.SaveSeconds, positive(c.SaveSeconds))
	set(j, &k.KeepMax, c.KeepMax)
	if c.Format.V != "" {
		set(j, &k.Format, c.Format)
		set(j, &k.Network, c.Network)
	} else if c.Network.Origin != "" && !c.Network.V {
		set(j, &k.NoNetwork, from(true, c.Network.At))
	}
	if c.Trainable.V {
		set(j, &k.Trainable, c.Trainable)
	}
	if c.Ranks.V != "" {
		set(j, &k.Ranks, c.Ranks)
	}
}

func (j *typed) predict(c *config.Predict) {
	p := &j.Predict
	set(j, &p.MaxLength, c.MaxLength)
	set(j, &p.MaxNew, positive(c.MaxNew))
	set(j, &p.MinLength, positive(c.MinLength))
	set(j, &p.MinNew, positive(c.MinNew))
	set(j, &p.Input, c.Input)
	set(j, &p.DoSample, c.DoSample)
	set(j, &p.TopK, c.TopK)
	set(j, &p.TopP, c.TopP)
	set(j, &p.Temperature, c.Temperature)
	set(j, &p.RepetitionPenalty, c.RepetitionPenalty)
}
