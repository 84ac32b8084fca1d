package job

import (
	"strings"
	"testing"
)

// How many rows a step had is read off the facts of its checkpoint.
func TestStepRows(t *testing.T) {
	for _, c := range []struct {
		devices Devices
		want    int
	}{
		{Devices{}, 6},
		{Devices{Count: 8, Mode: "semi", FullBatch: true, Replicas: 8}, 48},
		{Devices{Count: 8, Mode: "semi", FullBatch: true, Replicas: 2, Micro: 5, Interleave: 2}, 40},
		{Devices{Count: 4, Mode: "auto", Replicas: 2, Shard: "block"}, 24},
		{Devices{Count: 8, Mode: "data", Sum: true, Shard: "stride"}, 16},
	} {
		j := Default()
		j.BatchSize, j.GradAccum, j.Devices = 2, 3, c.devices
		same, free := map[string]string{}, map[string]string{}
		for _, f := range j.Facts() {
			if f.Free {
				free[f.Key] = f.Value
			} else {
				same[f.Key] = f.Value
			}
		}
		if got := StepRows(same, free); got != c.want || j.Batch().Rows() != c.want {
			t.Errorf("%+v: %d rows by its facts, %d by itself, want %d", c.devices, got, j.Batch().Rows(), c.want)
		}
		for _, key := range []string{"devices", "parallel.parallel_mode", "parallel.full_batch"} { // of an earlier release
			delete(same, key)
			delete(free, key)
		}
		if got := StepRows(same, free); c.devices.Mode == "" && got != c.want {
			t.Errorf("without facts of devices: %d rows", got)
		}
		free["runner_config.batch_size"] = "many"
		if got := StepRows(same, free); got != 0 {
			t.Errorf("of many: %d rows", got)
		}
	}
	if got := StepRows(map[string]string{}); got != 0 {
		t.Errorf("of nothing: %d rows", got)
	}
}

func TestWordsOfDevices(t *testing.T) {
	for want, c := range map[string]struct {
		devices  Devices
		size     int
		perToken bool
	}{
		"1 device: a step takes 1 row; its loss is the token mean of that row": {Devices{}, 1, false},
		"3 devices: a step takes 2 · 3 = 6 rows, 2 of each device's; gradients are 3 times those of the mean over its tokens (gradients_mean: False); shard_by stride: a device's list is every 3rd row": {Devices{Count: 3, Mode: "data", Sum: true, Shard: "stride"}, 2, true},
		"21 devices: a step takes 1 · 21 = 21 rows, 1 of each device's; its loss is the mean over its tokens; shard_by stride: a device's list is every 21st row":                                        {Devices{Count: 21, Mode: "semi", Shard: "stride"}, 1, true},
		"4 devices: a step takes 1 · 2 = 2 rows, 1 for each of 2 replicas of 2 devices; its loss is the token mean of the 2 rows":                                                                        {Devices{Count: 4, Mode: "semi", FullBatch: true, Replicas: 2}, 1, false},
	} {
		if got := c.devices.Words(c.size, 1, c.perToken); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for n, want := range map[int]string{2: "2nd", 3: "3rd", 8: "8th", 11: "11th", 12: "12th", 112: "112th", 121: "121st", 64: "64th"} {
		if got := nth(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

// lr_scale: 8 devices that read 4·3 rows each, over 256 (r1.3 trainer/base_trainer.py).
func TestRate(t *testing.T) {
	j := &Job{BatchSize: 4, GradAccum: 3, Schedule: Schedule{LR: 2e-4}, Devices: Devices{Count: 8, Mode: "semi"}}
	if j.Rate() != 2e-4 {
		t.Errorf("without a factor %v", j.Rate())
	}
	j.Schedule.ScaleFactor = 256
	if want := j.Schedule.LR * 8 * 12 / 256; j.Rate() != want {
		t.Errorf("%v, want %v", j.Rate(), want)
	}
	j.Devices.FullBatch, j.Devices.Replicas = true, 2
	if want := j.Schedule.LR * 8 * 24 / 256; j.Rate() != want {
		t.Errorf("of a full batch %v, want %v", j.Rate(), want)
	}
}
