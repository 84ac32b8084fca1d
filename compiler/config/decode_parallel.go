package config

import (
	"fmt"
	"slices"
	"strings"
)

// launchers are the origins of `devices` that are a launch line, whose number of
// workers MindSpore takes for that of devices.
var launchers = []string{"msrun_launcher.sh", "msrun", "run_distribute.sh"}

// parallelModes are the spellings of MindFormers r1.3 core/parallel_config.py.
var parallelModes = map[string]string{"0": "data", "1": "semi", "2": "auto", "3": "hybrid", "data_parallel": "data",
	"semi_auto_parallel": "semi", "auto_parallel": "auto", "hybrid_parallel": "hybrid", "stand_alone": "data",
	"DATA_PARALLEL": "data", "SEMI_AUTO_PARALLEL": "semi", "AUTO_PARALLEL": "auto", "HYBRID_PARALLEL": "hybrid", "STAND_ALONE": "data", "MANUAL_PARALLEL": "data"}

// shards are the ways in which MindSpore cuts a data set over devices.
var shards = map[string]string{"block": "block", "stride": "stride"}

// devices reads what the job was written for: how many devices, and how they
// divide the rows (MindFormers r1.3 trainer/base_trainer.py, core/context). Their
// number is that of the launch line, else of parallel_config in a (semi-)automatic
// mode, else of `devices`, else 1.
func (l *loader) devices() {
	c := l.c
	d := &c.Devices
	c.UseParallel = l.bool("use_parallel", false)
	if l.given("units") {
		d.Units = l.int("units", 0)
		if n := d.Units.V; l.positive("units", d.Units) && (n > maxDevices || n&(n-1) != 0) {
			l.errorf(d.Units.At, "range", "`units` must be a power of two up to %d, not %d", maxDevices, n)
		}
	}
	var asked Val[int]
	if l.given("devices") {
		asked = l.int("devices", 1)
		l.positive("devices", asked)
	}
	launched := slices.Contains(launchers, asked.Origin)
	if asked.V > 1 && !launched && !c.UseParallel.V {
		c.UseParallel = Val[bool]{true, asked.At, "derived"}
		d.implied = true
	}
	if !c.UseParallel.V {
		d.Count = Val[int]{1, c.UseParallel.At, "default"}
		d.alone = asked.V
		return
	}
	d.Mode = l.meaning("parallel.parallel_mode", "1", parallelModes)
	if d.Parallel() {
		l.matrix(asked, launched)
		return
	}
	d.Count = Val[int]{1, d.Mode.At, "default"}
	if asked.V > 0 {
		d.Count = asked
	}
	d.Sum = l.bool("parallel.gradients_mean", true)
	d.Sum.V = !d.Sum.V
	l.sharding()
}

// matrix reads parallel_config, which counts in a (semi-)automatic mode only.
func (l *loader) matrix(asked Val[int], launched bool) {
	p, d := &l.c.Parallel, &l.c.Devices
	product, said := 1, false
	for _, axis := range []struct {
		name string
		to   *Val[int]
	}{{"data_parallel", &p.Data}, {"model_parallel", &p.Model}, {"pipeline_stage", &p.Pipeline}, {"context_parallel", &p.Context}} {
		*axis.to = Val[int]{1, l.place("parallel_config." + axis.name), "default"}
		if l.given("parallel_config." + axis.name) {
			*axis.to = l.int("parallel_config."+axis.name, 1)
			said = true
		}
		if !l.positive(axis.name, *axis.to) || axis.to.V > maxDevices || product*axis.to.V > maxDevices {
			if axis.to.V > 0 {
				l.errorf(axis.to.At, "range", "more devices than lorac allows (%d)", maxDevices)
			}
			axis.to.V = 1
		}
		product *= axis.to.V
	}
	d.Count = Val[int]{product, p.Data.At, "derived"}
	switch {
	case launched && said && asked.V != product:
		l.errorf(p.Data.At, "mismatch", "the launch line starts %d workers, and `parallel_config` is of %d", asked.V, product).
			WithLabel("data_parallel %d × model_parallel %d × pipeline_stage %d × context_parallel %d", p.Data.V, p.Model.V, p.Pipeline.V, p.Context.V).
			At(asked.At, "workers are counted here").
			WithHelp("start %d workers, or set parallel_config.data_parallel: MindSpore wants the product to be the number of devices", product)
	case launched && said:
		d.Count = asked
	case product == 1 && asked.V > 1: // replicas, unless parallel_config says another thing
		d.Count, p.Data = asked, asked
	case asked.V > 0 && asked.V != product:
		d.loses = asked
	}
	p.Optimizer = l.bool("parallel.enable_parallel_optimizer", false)
	p.Tokens = l.bool("parallel_config.use_seq_parallel", false)
	d.Replicas = p.Data
	d.FullBatch = l.bool("parallel.full_batch", true)
	if p.Pipeline.V > 1 {
		d.Micro = l.int("parallel_config.micro_batch_num", 1)
		l.factor("micro_batch_num", d.Micro)
	}
	d.Interleave = Val[int]{1, d.Mode.At, "default"}
	if l.given("micro_batch_interleave_num") {
		d.Interleave = l.int("micro_batch_interleave_num", 1)
		l.factor("micro_batch_interleave_num", d.Interleave)
	}
	if !d.FullBatch.V {
		l.sharding()
	}
}

// ranks reads how the ranks of the job would save their weights, where that is asked for.
func (l *loader) ranks() {
	d, p := &l.c.Devices, &l.c.Parallel
	if !l.given("save_ranks") || d.Count.V < 2 {
		return
	}
	asked := l.bool("save_ranks", false)
	if !asked.V {
		return
	}
	text := fmt.Sprintf("data_parallel=%d", d.Count.V)
	if d.Parallel() {
		text = fmt.Sprintf("data_parallel=%d,model_parallel=%d,pipeline_stage=%d,context_parallel=%d", p.Data.V, p.Model.V, p.Pipeline.V, p.Context.V)
		text += fmt.Sprintf(",vocab_emb_dp=%t,enable_parallel_optimizer=%t", l.bool("parallel_config.vocab_emb_dp", true).V, p.Optimizer.V)
		if p.Pipeline.V > 1 && l.given(mc+"offset") {
			list := strings.Trim(fmt.Sprint(l.ints(mc+"offset", []int{0}).V), "[]")
			if list != "0" { // as many for each stage
				text += ",offset=" + strings.ReplaceAll(list, " ", ":")
			}
		}
	}
	l.c.Checkpoint.Ranks = Val[string]{text, asked.At, asked.Origin}
}

// factor checks a number that the rows of a step are multiplied by.
func (l *loader) factor(name string, v Val[int]) {
	if l.positive(name, v); v.V > limit {
		l.errorf(v.At, "range", "%d is more than lorac allows (%d)", v.V, limit)
	}
}

// sharding reads how the data set is cut.
func (l *loader) sharding() {
	if d := &l.c.Devices; d.Count.V > 1 {
		d.Shard = l.meaning("shard_by", "block", shards)
	}
}
