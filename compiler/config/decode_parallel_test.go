package config

import (
	"fmt"
	"strings"
	"testing"
)

// msrun is the launch line's number of workers.
func msrun(n int) Override {
	return Override{Path: "devices", Value: fmt.Sprint(n), Origin: "msrun_launcher.sh"}
}

// What a step of each kind of job is (MindFormers r1.3 trainer/base_trainer.py).
func TestDevices(t *testing.T) {
	const (
		semi = "use_parallel: True\nparallel: {parallel_mode: 1, full_batch: True}\n"
		cut  = "use_parallel: True\nparallel: {parallel_mode: 1, full_batch: False}\n"
		data = "use_parallel: True\nparallel: {parallel_mode: 0, gradients_mean: True}\n"
	)
	for name, c := range map[string]struct {
		keys    string
		accum   int
		over    []Override
		devices int
		rows    int
		says    string
	}{
		"stand-alone":                        {"", 1, nil, 1, 5, ""},
		"stand-alone, accumulated":           {"", 4, nil, 1, 20, "gradient_accumulation_steps 4 counts here"},
		"the seed's":                         {semi + "parallel_config: {data_parallel: 8}\n", 1, []Override{msrun(8)}, 8, 40, "8 devices: a step takes 5 · 8 = 40 rows, 5 a device; its loss is the token mean of the 40 rows; an epoch shuffles"},
		"without parallel":                   {"use_parallel: True\nparallel_config: {data_parallel: 8}\n", 1, nil, 8, 40, "a step takes 5 · 8 = 40 rows, 5 a device; its loss is the token mean of the 40 rows; an epoch shuffles"},
		"accumulated":                        {semi + "parallel_config: {data_parallel: 2}\n", 8, nil, 2, 80, "a step takes 5 · 2 · 8 = 80 rows, 40 a device; its loss is the mean of 8 token means, of 10 rows each"},
		"pipeline":                           {semi + "parallel_config: {data_parallel: 4, pipeline_stage: 2, micro_batch_num: 64}\n", 1, nil, 8, 5 * 4 * 64, "8 devices: a step takes 5 · 4 · 64 = 1280 rows, 320 for each of 4 replicas of 2 devices; its loss is the mean of 64 token means, of 20 rows each"},
		"micro_batch_num without a pipeline": {semi + "parallel_config: {data_parallel: 4, micro_batch_num: 64}\n", 1, nil, 4, 20, "5 · 4 = 20 rows"},
		"pipeline, accumulated":              {semi + "parallel_config: {pipeline_stage: 2, micro_batch_num: 4}\n", 8, nil, 2, 20, "gradient_accumulation_steps 8 counts as 1 with a pipeline"},
		"model parallel":                     {semi + "parallel_config: {model_parallel: 8}\n", 1, nil, 8, 5, "8 devices: a step takes 5 rows, which all devices share; its loss is the token mean of the 5 rows"},
		"context parallel":                   {semi + "parallel_config: {data_parallel: 2, context_parallel: 4}\n", 1, nil, 8, 10, "10 rows, 5 for each of 2 replicas of 4 devices"},
		"interleaved":                        {semi + "parallel_config: {data_parallel: 2}\nmicro_batch_interleave_num: 2\n", 1, nil, 2, 20, "5 · 2 · 2 = 20 rows, 10 a device; its loss is the mean of 2 token means, of 10 rows each"},
		"cut":                                {cut + "parallel_config: {data_parallel: 4}\n", 2, nil, 4, 40, "5 · 4 · 2 = 40 rows, 10 of each device's; its loss is the mean of 2 token means, of 20 rows each; shard_by block: a device's list is a block of the epoch's order, as in MindSpore up to 2.5"},
		"cut by stride":                      {cut + "parallel_config: {data_parallel: 2}\nshard_by: stride\n", 1, nil, 2, 10, "shard_by stride: a device's list is every 2nd row of the epoch's order, as in MindSpore from 2.6"},
		"data parallel":                      {data + "parallel_config: {data_parallel: 2}\n", 4, []Override{msrun(8)}, 8, 40, "8 devices: a step takes 5 · 8 = 40 rows, 5 of each device's; its loss is the mean of the devices' token means"},
		"data parallel, accumulated":         {data, 4, []Override{msrun(2)}, 2, 10, "gradient_accumulation_steps 4 counts as 1 in parallel_mode data"},
		"data parallel, parallel_config":     {data + "parallel_config: {data_parallel: 8}\n", 1, nil, 1, 5, "parallel_config counts as 1 in parallel_mode data"},
		"hybrid, added":                      {"use_parallel: True\nparallel: {parallel_mode: HYBRID_PARALLEL, gradients_mean: False}\n", 1, []Override{msrun(3)}, 3, 15, "the gradients of the devices' token means are added (gradients_mean: False)"},
		"workers alone":                      {"", 1, []Override{msrun(8)}, 1, 5, "use_parallel is False, so each of the 8 workers of the launch line would train by itself"},
		"--devices":                          {"", 1, []Override{{Path: "devices", Value: "8"}}, 8, 40, "devices 8 (--devices): use_parallel is taken as True"},
		"--devices, replicas":                {semi + "parallel_config: {data_parallel: 1}\n", 1, []Override{{Path: "devices", Value: "4"}}, 4, 20, "4 devices: a step takes 5 · 4 = 20 rows, 5 a device"},
		"--devices, and parallel_config":     {semi + "parallel_config: {data_parallel: 2}\n", 1, []Override{{Path: "devices", Value: "4"}}, 2, 10, "2 devices: parallel_config (51:34) wins over devices 4 (--devices)"},
		"the line, without parallel_config":  {semi, 1, []Override{msrun(8)}, 8, 40, "8 devices: a step takes 5 · 8 = 40 rows"},
		"a device and a row":                 {semi, 1, []Override{{Path: "runner_config.batch_size", Value: "1"}}, 1, 1, "1 device: a step takes 1 row; its loss is the token mean of that row"},
	} {
		cfg := load(t, edit(minimal, "  batch_size: 5\n", fmt.Sprintf("  batch_size: 5\n  gradient_accumulation_steps: %d\n", c.accum))+c.keys, c.over...)
		d := cfg.Devices.Job()
		if b := d.Batch(cfg.Run.BatchSize.V, cfg.Run.GradAccum.V); cfg.Devices.Count.V != c.devices || b.Rows() != c.rows {
			t.Errorf("%s: %d devices and %d rows, want %d and %d", name, cfg.Devices.Count.V, b.Rows(), c.devices, c.rows)
		}
		if notes := strings.Join(cfg.Winners, "\n"); !strings.Contains(notes, c.says) {
			t.Errorf("%s: %q is not said in\n%s", name, c.says, notes)
		}
	}
}

// What ranks would save follows from parallel_config, and from nothing where the mode
// does not read it.
func TestRanks(t *testing.T) {
	const semi = "use_parallel: True\nsave_ranks: True\nparallel: {parallel_mode: 1, enable_parallel_optimizer: True}\n"
	for text, want := range map[string]string{
		"save_ranks: True\n": "",
		"use_parallel: True\nparallel_config: {data_parallel: 2}\n":                            "",
		"use_parallel: True\nsave_ranks: False\nparallel_config: {data_parallel: 2}\n":         "",
		"use_parallel: True\nsave_ranks: True\ndevices: 4\nparallel: {parallel_mode: 0}\n":     "data_parallel=4",
		semi + "parallel_config: {data_parallel: 2, model_parallel: 4, vocab_emb_dp: False}\n": "data_parallel=2,model_parallel=4,pipeline_stage=1,context_parallel=1,vocab_emb_dp=false,enable_parallel_optimizer=true",
		semi + "parallel_config: {pipeline_stage: 3, micro_batch_num: 3}\n":                    "data_parallel=1,model_parallel=1,pipeline_stage=3,context_parallel=1,vocab_emb_dp=true,enable_parallel_optimizer=true",
	} {
		if got := load(t, minimal+text).Checkpoint.Ranks.V; got != want {
			t.Errorf("%s%q, want %q", text, got, want)
		}
	}
	few := load(t, minimal+semi+"parallel_config: {pipeline_stage: 3, micro_batch_num: 2}\n")
	if notes := strings.Join(few.Winners, "\n"); !strings.Contains(notes, "micro_batch_num 2 is below pipeline_stage 3") {
		t.Errorf("fewer micro-batches than stages: %s", notes)
	}
}

func TestDevicesRefused(t *testing.T) {
	const semi = minimal + "use_parallel: True\nparallel: {parallel_mode: 1}\n"
	d := has(refuse(t, semi+"parallel_config: {data_parallel: 2, model_parallel: 2}\n", msrun(8)), "mismatch", "start 4 workers")
	if d == nil || len(d.Also) != 1 || d.Also[0].Pos.File != "msrun_launcher.sh" || d.Pos.Line == 0 {
		t.Errorf("other workers than devices: %+v", d)
	}
	for text, want := range map[string]string{
		semi + "parallel_config: {data_parallel: 0}\n":                                        "`data_parallel` must be positive",
		semi + "parallel_config: {data_parallel: 60000, model_parallel: 60000}\n":             "more devices than lorac allows",
		semi + "parallel_config: {pipeline_stage: 2, micro_batch_num: -1}\n":                  "`micro_batch_num` must be positive",
		semi + "micro_batch_interleave_num: 0\n":                                              "`micro_batch_interleave_num` must be positive",
		semi + "micro_batch_interleave_num: 16000000\nparallel_config: {data_parallel: 9999}": "more than lorac allows",
		minimal + "devices: 0\n":                                                              "`devices` must be positive",
		minimal + "units: 6\n":                                                                "`units` must be a power of two",
		minimal + "units: 0\n":                                                                "`units` must be positive",
	} {
		if has(refuse(t, text), "range", want) == nil {
			t.Errorf("not refused with %s: %v", want, refuse(t, text))
		}
	}
	if has(refuse(t, minimal+"use_parallel: True\ndevices: 2\nshard_by: hash\nparallel: {parallel_mode: 0}\n"), "value", "shard_by") == nil {
		t.Error("shard_by: hash is accepted")
	}
}
