package rt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/kernels"
	"lorac/runtime/sys/limits"
)

// machineOf is a made-up machine: files of /proc and /sys.
func machineOf(t *testing.T, files map[string]string) limits.System {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return limits.At(root)
}

// What a machine lacks is named, with how much slower it is and the way out; what is
// of no use is refused. Where nothing is missing nothing is said.
func TestSlowPaths(t *testing.T) {
	all := map[string]string{"proc/self/status": "Cpus_allowed_list:\t0-3\n", "sys/devices/system/cpu/online": "0-3\n"}
	one := map[string]string{"proc/self/status": "Cpus_allowed_list:\t2\n", "sys/devices/system/cpu/online": "0-3\n"}
	blocks := Job{}
	blocks.Quant.Kind = "int4"
	for name, x := range map[string]struct {
		job     Job
		threads int
		files   map[string]string
		pages   string
		lacks   string
		times   float64
		want    []string // of each line
		refused bool
	}{
		"nothing is missing":         {Job{}, 4, all, "", "", 1, nil, false},
		"int8, with its instruction": {Job{Compute: "int8"}, 4, all, "", "", 1, nil, false},
		"int8, somewhat slower":      {Job{Compute: "int8"}, 4, all, "", "", 2.5, []string{"which are missing here, and a plain loop takes their place: a product takes about 2.5 times as long\n  = help: leave compute: int8 out"}, false},
		"int8, of no use":            {Job{Compute: "int8"}, 4, all, "", "", 40, []string{"about 40 times"}, true},
		"int8, of no use at all":     {Job{Compute: "int8"}, 4, all, "", "", 152.3, []string{"about 152 times"}, true},
		"on a card":                  {Job{Compute: "int8", Device: "ascend"}, 4, one, "", "no FMA", 40, nil, false},
		"blocks":                     {blocks, 4, all, "", "", 7, []string{"quant int4 is decoded"}, false},
		"no FMA, no huge pages":      {Job{}, 4, all, "huge pages are off", "the processor has no FMA", 1, []string{"the processor has no FMA: plain Go", "huge pages are off: a step takes about 1.1 times"}, false},
		"pinned":                     {Job{}, 1, one, "", "", 1, []string{"1 of 4 processors may be used (the affinity of the process (taskset, cpuset)): a step, against all of them, takes about 4 times"}, false},
		"pinned, with threads":       {Job{}, 4, one, "", "", 1, []string{"1 of 4 processors", "4 threads share 1 processors"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMAXPROCS", "")
			var list []Slow
			if x.job.Device == "" {
				list = slowPaths(&x.job, x.threads, machineOf(t, x.files), x.pages, x.lacks, func(kernels.DType) float64 { return x.times })
			} else {
				list = SlowPaths(&x.job, x.threads, nil)
			}
			if len(list) != len(x.want) {
				t.Fatalf("%v, want %d", list, len(x.want))
			}
			for i, s := range list {
				if !strings.Contains(s.String(), x.want[i]) || !strings.Contains(s.String(), "= help:") {
					t.Errorf("%q is not in %s", x.want[i], s)
				}
			}
			if err := refuseSlow(list, false); (err != nil) != x.refused {
				t.Errorf("refused: %v", err)
			}
			if err := refuseSlow(list, true); err != nil {
				t.Errorf("refused though it is allowed: %v", err)
			}
		})
	}
}

// Huge pages: what the system says.
func TestHugePages(t *testing.T) {
	const file = "sys/kernel/mm/transparent_hugepage/enabled"
	for want, files := range map[string]map[string]string{
		"":                         {file: "always [madvise] never\n", "proc/self/status": "THP_enabled:\t1\n"},
		"enabled says never":       {file: "always madvise [never]\n"},
		"turned off for this proc": {file: "[always] madvise never\n", "proc/self/status": "THP_enabled:\t0\n"},
		"has no huge pages":        {},
	} {
		if got := HugePages(machineOf(t, files)); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A run that takes more than the control group allows is refused before its first
// step; one whose micro-batches are small is not.
func TestCheckMachine(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	j.Memory.Resident = 1 << 50
	refused(t, j, model.body, 1, "= help: lorac finetune, or lorac compile --mem_limit")
}
