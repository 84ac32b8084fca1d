package ascend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
	"lorac/kernels/ascend/ascendtest"
)

// The library is sought where a trainer's loader looks, and what is missing is said.
func TestLibrary(t *testing.T) {
	dir, home, cache := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "cache")
	for _, name := range []string{"LORAC_ACL", "LD_LIBRARY_PATH", "ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"} {
		t.Setenv(name, "")
	}
	was, where := loaderCache, installed
	defer func() { loaderCache, installed = was, where }()
	loaderCache, installed = cache, []string{filepath.Join(dir, "set_env.sh")}

	expect := func(path, why string) {
		t.Helper()
		if got, reason := Library(); got != path || !strings.Contains(reason, why) {
			t.Errorf("%q, %q, want %q, %q", got, reason, path, why)
		}
	}
	expect("", "libascendcl.so is not installed")
	write(t, filepath.Join(dir, "set_env.sh"), "")
	expect("", "set_env.sh was not sourced: source "+filepath.Join(dir, "set_env.sh"))
	listed := filepath.Join(dir, "listed", library)
	write(t, cache, "glibc-ld.so.cache1.1\x00libc.so.6\x00/lib/libc.so.6\x00libascendcl.so\x00"+listed+"\x00libz.so\x00")
	expect("", "set_env.sh was not sourced") // the list is out of date
	write(t, listed, "x")
	expect(listed, "")
	write(t, filepath.Join(home, "lib64", library), "x")
	t.Setenv("ASCEND_HOME_PATH", home)
	expect(filepath.Join(home, "lib64", library), "")
	write(t, filepath.Join(dir, "lib", library), "x")
	t.Setenv("LD_LIBRARY_PATH", dir+":"+filepath.Join(dir, "lib"))
	expect(filepath.Join(dir, "lib", library), "")
	t.Setenv("LORAC_ACL", filepath.Join(home, "none.so"))
	expect("", "LORAC_ACL names "+home+"/none.so, which is no file")
	t.Setenv("LORAC_ACL", listed)
	expect(listed, "")
}

// The answer is found among what ACL prints; a process that hangs or crashes is an
// error that says so.
func TestAsk(t *testing.T) {
	defer func(was time.Duration) { probeLimit = was }(probeLimit)
	acl := filepath.Join(t.TempDir(), library)
	write(t, acl, "x")
	t.Setenv("LORAC_ACL", acl)
	for _, c := range []struct{ program, want string }{
		{`echo "[INFO] hello"; echo; echo 'lorac-probe: {"soc":"Ascend910B3","cubes":20,"vectors":40,"hbm":100,"devices":2}'; echo bye`, ""},
		{`echo 'lorac-probe: {"error":"no Ascend device: none"}'`, "no Ascend device: none"},
		{`echo 'lorac-probe: {'`, "is broken"},
		{`echo loading >&2; echo drv failed >&2; exit 1`, "ended the process that asked device 3 (exit status 1):\n    loading\n    drv failed"},
		{`kill -SEGV $$`, acl + " crashed when it was asked for device 3 (signal: segmentation fault)\n  = help: "},
		{`printf 'SIGABRT: abort\nPC=0x7f m=0 sigcode=18446744073709551610\n\nrax 0x0\n' >&2; exit 2`, acl + " crashed when it was asked for device 3 (signal: abort)\n  = help: "},
		{`printf 'fatal error: unexpected signal\n[signal SIGSEGV: segmentation violation code=0x1]\n' >&2; exit 2`, "(signal: segmentation violation)\n"},
		{`sleep 60`, "Ascend device 3 did not answer within 300ms"},
	} {
		program := filepath.Join(t.TempDir(), "probe")
		write(t, program, "#!/bin/sh\n[ \"$1\" = 3 ] || exit 9\n"+c.program+"\n")
		probeLimit = time.Minute
		if strings.HasPrefix(c.program, "sleep") {
			probeLimit = 300 * time.Millisecond
		}
		d, err := ask(program, 3)
		switch {
		case c.want == "" && (err != nil || *d != Device{SoC: "Ascend910B3", Cubes: 20, Vectors: 40, HBM: 100, Devices: 2}):
			t.Errorf("%s: %+v, %v", c.program, d, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.program, err, c.want)
		}
	}
}

// The real program asks the stand-in.
func TestProbe(t *testing.T) {
	ascendtest.Kernels(t)
	acl := os.Getenv("LORAC_ACL")
	cached, err := testkit.Command(t, "go", "env", "GOCACHE").Output() // it would move
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(cached)))
	home, done, err := testkit.Home()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("STANDIN_SOC", "Ascend910B1")
	t.Setenv("STANDIN_DEVICES", "2")
	d, err := Probe(1)
	if err != nil || d.SoC != "Ascend910B1" || d.Cubes != 20 || d.HBM != 64<<30 || d.Library != acl || d.Devices != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := Probe(2); err == nil || !strings.Contains(err.Error(), "no Ascend device 2: this machine has 2") {
		t.Errorf("another: %v", err)
	}
}
