package limits

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// tree writes files; a text of "DIR" makes a directory, which cannot be read as a file.
func tree(t *testing.T, files map[string]string) System {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if text == "DIR" {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if text != "DIR" {
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return At(root)
}

const (
	v2Mount = "31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	v1Mount = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"37 31 0:34 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
	v1Limits = "9223372036854771712"
	machine  = "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:   8192 kB\n"
	noLimits = "Limit                     Soft Limit           Hard Limit           Units     \nMax address space         unlimited            unlimited            bytes     \n"
	allowed  = "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\nRssAnon:\t       0 kB\n"
	mib      = 1 << 20
)

func TestLimits(t *testing.T) {
	for name, x := range map[string]struct {
		files       map[string]string
		limit, free int
		limitFrom   string
		freeFrom    string
		cpus        int
		cpusFrom    string
	}{
		"no groups": {map[string]string{}, 16 * mib, 8 * mib, "the memory of the machine", "the free memory of the machine", 8, "the affinity of the process (taskset, cpuset)"},
		"v2": {map[string]string{
			"proc/self/cgroup": "0::/pod/c\n", "proc/self/mountinfo": v2Mount,
			"sys/fs/cgroup/pod/c/memory.max": "4194304\n", "sys/fs/cgroup/pod/c/memory.high": "max\n", "sys/fs/cgroup/pod/c/memory.current": "3145728\n",
			"sys/fs/cgroup/pod/c/memory.stat": "anon 1\ninactive_file 1048576\nactive_file 1048576\n", "sys/fs/cgroup/pod/c/cpu.max": "150000 100000\n",
		}, 4 * mib, 3 * mib, "memory.max of control group /pod/c", "memory.max of control group /pod/c", 2, "cpu.max of control group /pod/c"},
		"v2, the outer group is smaller": {map[string]string{
			"proc/self/cgroup": "0::/pod/c\n", "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/pod/c/memory.max": "max\n", "sys/fs/cgroup/pod/c/cpu.max": "max 100000\n",
			"sys/fs/cgroup/pod/memory.max": "max\n", "sys/fs/cgroup/pod/memory.high": "2097152\n", "sys/fs/cgroup/pod/memory.current": "0\n", "sys/fs/cgroup/pod/cpu.max": "50000 100000\n",
			"sys/fs/cgroup/cgroup.controllers": "memory\n",
		}, 2 * mib, 2 * mib, "memory.high of control group /pod", "memory.high of control group /pod", 1, "cpu.max of control group /pod"},
		"v2, namespaced": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/memory.max": "1048576\n", "sys/fs/cgroup/memory.current": "4096\n", "sys/fs/cgroup/cpuset.cpus.effective": "2-3,5\n",
		}, mib, mib - 4096, "memory.max of control group /", "memory.max of control group /", 3, "cpuset.cpus.effective of control group /"},
		"v2, a name outside of the namespace": {map[string]string{
			"proc/self/cgroup": "0::/../../other\n", "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/memory.max": "1048576\n",
		}, mib, mib, "memory.max of control group /", "memory.max of control group /", 8, "the affinity of the process (taskset, cpuset)"},
		"v1": {map[string]string{
			"proc/self/cgroup": "9:memory:/job\n3:cpuset:/job\n2:cpu,cpuacct:/job\n", "proc/self/mountinfo": v1Mount,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": v1Limits, "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "6291456\n", "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "5242880\n",
			"sys/fs/cgroup/memory/job/memory.stat": "inactive_file 9999999\ntotal_inactive_file 3145728\ntotal_active_file 0\n",
			"sys/fs/cgroup/cpuset/job/cpuset.cpus": "0-3\n", "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
		}, 6 * mib, 4 * mib, "memory.limit_in_bytes of control group /job", "memory.limit_in_bytes of control group /job", 3, "cpu.cfs_quota_us of control group /job"},
		"v1, unlimited": {map[string]string{
			"proc/self/cgroup": "9:memory:/job\n2:cpu,cpuacct:/job\n", "proc/self/mountinfo": v1Mount, "sys/fs/cgroup/memory/job/memory.limit_in_bytes": v1Limits,
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
		}, 16 * mib, 8 * mib, "the memory of the machine", "the free memory of the machine", 8, "the affinity of the process (taskset, cpuset)"},
		"v1, of a container that sees the names outside": {map[string]string{
			"proc/self/cgroup": "9:memory:/docker/abc/in\n", "proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3145728\n", "sys/fs/cgroup/memory/in/memory.limit_in_bytes": "2097152\n",
		}, 2 * mib, 2 * mib, "memory.limit_in_bytes of control group /in", "memory.limit_in_bytes of control group /in", 8, "the affinity of the process (taskset, cpuset)"},
		"v1, the mount shows another group": {map[string]string{
			"proc/self/cgroup": "9:memory:/docker/abcdef\n", "proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3145728\n",
		}, 3 * mib, 3 * mib, "memory.limit_in_bytes of control group /", "memory.limit_in_bytes of control group /", 8, "the affinity of the process (taskset, cpuset)"},
		"hybrid": {map[string]string{
			"proc/self/cgroup": "9:memory:/job\n0::/user\n", "proc/self/mountinfo": v1Mount + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes": "5242880\n", "sys/fs/cgroup/unified/user/cgroup.procs": "",
		}, 5 * mib, 5 * mib, "memory.limit_in_bytes of control group /job", "memory.limit_in_bytes of control group /job", 8, "the affinity of the process (taskset, cpuset)"},
		"a mount point with a space": {map[string]string{
			"proc/self/cgroup": "0::/a b\n", "proc/self/mountinfo": `31 23 0:26 / /my\040groups rw - cgroup2 cgroup2 rw` + "\n", "my groups/a b/memory.max": "1048576",
		}, mib, mib, "memory.max of control group /a b", "memory.max of control group /a b", 8, "the affinity of the process (taskset, cpuset)"},
		"files that cannot be read, or hold something else": {map[string]string{
			"proc/self/cgroup": "0::/pod\nx\n", "proc/self/mountinfo": v2Mount + "broken\n1 2 - cgroup2\n", "sys/fs/cgroup/pod/memory.max": "DIR", "sys/fs/cgroup/pod/memory.high": "many\n",
			"sys/fs/cgroup/pod/cpu.max": "100000\n", "sys/fs/cgroup/memory.max": "99999999999999999999999\n", "sys/fs/cgroup/pod/cpuset.cpus.effective": "3-1,x\n",
		}, 16 * mib, 8 * mib, "the memory of the machine", "the free memory of the machine", 8, "the affinity of the process (taskset, cpuset)"},
		"more is held than allowed": {map[string]string{
			"proc/self/cgroup": "0::/pod\n", "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/pod/memory.max": "1048576\n", "sys/fs/cgroup/pod/memory.current": "2097152\n",
		}, mib, 1, "memory.max of control group /pod", "memory.max of control group /pod", 8, "the affinity of the process (taskset, cpuset)"},
		"own memory is not counted": {map[string]string{
			"proc/self/cgroup": "0::/pod\n", "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/pod/memory.max": "2097152\n", "sys/fs/cgroup/pod/memory.current": "1048576\n",
			"proc/self/status": "RssAnon:\t1024 kB\n",
		}, 2 * mib, 2 * mib, "memory.max of control group /pod", "memory.max of control group /pod", 0, ""},
		"ulimit -v": {map[string]string{
			"proc/self/limits": "Max address space         1260388352           unlimited            bytes     \nMax data size unlimited unlimited bytes\n",
		}, 2 * mib, 2 * mib, ulimits[0].from, ulimits[0].from, 8, "the affinity of the process (taskset, cpuset)"},
		"nothing can be read": {map[string]string{"proc/meminfo": "DIR", "proc/self/status": "DIR", "proc/self/limits": "DIR"}, 0, 0, "", "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"proc/meminfo": machine, "proc/self/limits": noLimits, "proc/self/status": allowed}
			for k, v := range x.files {
				files[k] = v
			}
			s := tree(t, files)
			m, p := s.Memory(), s.Processors()
			if m.Limit.N != x.limit || x.limit > 0 && m.Limit.From != x.limitFrom {
				t.Errorf("limit %+v, want %d of %s", m.Limit, x.limit, x.limitFrom)
			}
			if m.Free.N != x.free || x.free > 0 && m.Free.From != x.freeFrom {
				t.Errorf("free %+v, want %d of %s", m.Free, x.free, x.freeFrom)
			}
			if p.N != x.cpus || x.cpus > 0 && p.From != x.cpusFrom {
				t.Errorf("processors %+v, want %d of %s", p, x.cpus, x.cpusFrom)
			}
		})
	}
}

// This machine says what it has.
func TestHere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux says it in files")
	}
	m, p := Here().Memory(), Here().Processors()
	if m.Limit.N < mib || m.Free.N < 1 || m.Free.N > m.Limit.N || m.Limit.From == "" {
		t.Errorf("%+v", m)
	}
	if p.N < 1 || p.N > runtime.NumCPU() || Here().Online() < p.N {
		t.Errorf("%+v of %d, %d online", p, runtime.NumCPU(), Here().Online())
	}
}
