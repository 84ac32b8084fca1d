package limits

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// group is a control group that the process is in, or one around it.
type group struct {
	dir  string // its files
	name string // below the mount point
	v2   bool
}

// mount is a hierarchy of control groups in the file system.
type mount struct {
	point, root string // root: the group that point shows, as names outside see it
	v2          bool
	controllers []string // of version 1
}

// groups are the control groups that a controller of this process is in, the inner
// ones first.
func (s System) groups(controller string) (list []group) {
	for _, m := range s.mounts() {
		name, ok := s.member(controller, m)
		if !ok {
			continue
		}
		for ; ; name = path.Dir(name) {
			dir := filepath.Join(m.point, filepath.FromSlash(name))
			if info, err := os.Stat(filepath.Join(s.root, dir)); err == nil && info.IsDir() {
				list = append(list, group{dir, name, m.v2})
			}
			if name == "/" {
				break
			}
		}
	}
	return list
}

// member is the name of the process's group below a mount point. A name that the
// mount does not show (of another namespace) is the group at the mount point.
func (s System) member(controller string, m mount) (name string, ok bool) {
	for line := range strings.Lines(s.read("proc/self/cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		if m.v2 != (f[0] == "0" && f[1] == "") || !m.v2 && !(contains(strings.Split(f[1], ","), controller) && contains(m.controllers, controller)) {
			continue
		}
		// Another control group's mount may hide what is outside of it: /../x.
		if strings.HasPrefix(f[2], "/..") {
			return "/", true
		}
		rest, shown := strings.CutPrefix(f[2], strings.TrimSuffix(m.root, "/"))
		if !shown || rest != "" && rest[0] != '/' {
			return "/", true
		}
		return path.Clean("/" + rest), true
	}
	return "", false
}

func contains(list []string, x string) bool {
	for _, l := range list {
		if l == x {
			return true
		}
	}
	return false
}

// escapes are those of mountinfo (proc(5)).
var escapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// mounts are the hierarchies that /proc/self/mountinfo names. Each of version 1 is
// taken once for a controller.
func (s System) mounts() (list []mount) {
	seen := map[string]bool{}
	for line := range strings.Lines(s.read("proc/self/mountinfo")) {
		before, after, ok := strings.Cut(line, " - ")
		f, t := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(t) < 3 || t[0] != "cgroup" && t[0] != "cgroup2" {
			continue
		}
		m := mount{point: escapes.Replace(f[4]), root: escapes.Replace(f[3]), v2: t[0] == "cgroup2", controllers: strings.Split(t[2], ",")}
		key := t[0]
		if !m.v2 {
			key += t[2]
		}
		if key += m.root; !seen[key] {
			seen[key] = true
			list = append(list, m)
		}
	}
	return list
}

// number reads a file of the group, 0 for no bound.
func (g group) number(s System, file string) int { return amount(s.read(g.dir, file)) }

// from names a file of the group.
func (g group) from(file string) string { return file + " of control group " + g.name }

// memory is the group's bound and what it holds, pages of files aside, which the
// system takes back. Above memory.high a process is slowed down until it is of no
// use, so that is a bound, too.
func (g group) memory(s System) (limit Bound, used int) {
	if !g.v2 {
		limit = Bound{g.number(s, "memory.limit_in_bytes"), g.from("memory.limit_in_bytes")}
		return limit, count(s.read(g.dir, "memory.usage_in_bytes")) - g.files(s, "total_inactive_file", "total_active_file")
	}
	for _, file := range []string{"memory.max", "memory.high"} {
		limit = limit.least(Bound{g.number(s, file), g.from(file)})
	}
	return limit, count(s.read(g.dir, "memory.current")) - g.files(s, "inactive_file", "active_file")
}

// files sums lines of memory.stat.
func (g group) files(s System, names ...string) (n int) {
	for line := range strings.Lines(s.read(g.dir, "memory.stat")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && contains(names, name) {
			n += count(value)
		}
	}
	return n
}

// quota is the group's share of processor time, in processors.
func (g group) quota(s System) Bound {
	file, quota, period := "cpu.cfs_quota_us", s.read(g.dir, "cpu.cfs_quota_us"), s.read(g.dir, "cpu.cfs_period_us")
	if g.v2 {
		file = "cpu.max"
		quota, period, _ = strings.Cut(s.read(g.dir, file), " ")
	}
	q, p := amount(quota), amount(period)
	if q == 0 || p == 0 {
		return Bound{}
	}
	return Bound{(q + p - 1) / p, g.from(file)}
}

// cpuset is the processors of the group.
func (g group) cpuset(s System) Bound {
	files := []string{"cpuset.effective_cpus", "cpuset.cpus"}
	if g.v2 {
		files = []string{"cpuset.cpus.effective"}
	}
	for _, file := range files {
		if n := cpuList(s.read(g.dir, file)); n > 0 {
			return Bound{n, g.from(file)}
		}
	}
	return Bound{}
}
