package device

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func floats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

// must fails a test at the first error of several calls.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func alloc(t *testing.T, d *Device, n int) Ptr {
	t.Helper()
	p, err := d.Alloc(n)
	must(t, err)
	return p
}

// ways are CANNs that have more and less: what lacks has a fallback.
var ways = map[string][]string{
	"all":       nil,
	"CANN 8.1":  {"STANDIN_LACKS=aclrtGetDeviceInfo"},
	"the least": {"STANDIN_LACKS=aclrtGetDeviceInfo,aclGetDeviceCapability,aclrtGetMemInfo,aclsysGetCANNVersion,aclrtSetDeviceSatMode,aclrtSynchronizeStreamWithTimeout,aclrtBinaryUnLoad,aclrtMallocHost,aclrtMemcpyAsync,aclrtMemsetAsync,aclrtCreateEvent,aclrtSetExceptionInfoCallback,aclrtGetThreadLastTaskId"},
}

// Copies, fills and launches run in the order they were queued in.
func TestOrder(t *testing.T) {
	for name, settings := range ways {
		t.Run(name, func(t *testing.T) {
			d := opened(t, settings...)
			const n = 1000
			x, y := alloc(t, d, 4*n), alloc(t, d, 4*n)
			data := make([]byte, 4*n)
			for i := range n {
				binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(float32(i)))
			}
			must(t, d.Launch("slow", 1, 20), d.Upload(x, data))
			clear(data) // the device must not see this
			must(t, d.Launch("fill", 7, y, n, float32(0.5), 7, 2), d.Launch("add", 1, y, x, n))
			must(t, d.Copy(x, y, 4*n), d.Zero(y, 4*(n/2)))
			must(t, d.Launch("add", 1, y, x, n), d.Download(data, y))
			for i, v := range floats(data) {
				want := float32(i) + 0.5
				if i >= n/2 {
					want *= 2
				}
				if v != want {
					t.Fatalf("element %d is %v, want %v", i, v, want)
				}
			}
			if d.Launches != 4 {
				t.Errorf("%d launches are counted, want 4", d.Launches)
			}
			must(t, d.Free(x), d.Free(y))
		})
	}
}

// An upload that is larger than the staging block arrives, and only what is queued
// is waited for.
func TestLargeUpload(t *testing.T) {
	for name, settings := range ways {
		t.Run(name, func(t *testing.T) {
			d := opened(t, settings...)
			data := make([]byte, 2*stagingBytes+12345)
			r := rand.NewChaCha8([32]byte{1})
			r.Read(data)
			want := sum(data)
			p := alloc(t, d, len(data))
			must(t, d.Upload(p, data))
			got := make([]byte, len(data))
			must(t, d.Download(got, p))
			if sum(got) != want {
				t.Error("what comes back differs")
			}
			before := d.Syncs
			must(t, d.Sync(), d.Sync())
			if d.Syncs != before {
				t.Error("Sync waits though nothing is queued")
			}
		})
	}
}

// The device says what it is, also where an older CANN does not count cores.
func TestProbe(t *testing.T) {
	for _, c := range []struct {
		settings []string
		want     Info
	}{
		{nil, Info{"Ascend910B3", 20, 40, 64 << 30, 64 << 30, "9.1.0", 1, ""}},
		{[]string{"STANDIN_SOC=Ascend910_9391", "STANDIN_CUBES=23", "STANDIN_VECTORS=46", "STANDIN_HBM=1000000", "STANDIN_DEVICES=8", "STANDIN_CANN=8.1.RC1", "STANDIN_LACKS=aclrtGetDeviceInfo"},
			Info{"Ascend910_9391", 23, 46, 1000000, 1000000, "8.1.RC1", 8, ""}},
		{[]string{"STANDIN_SOC=Ascend910B1", "STANDIN_LACKS=aclrtGetDeviceInfo,aclGetDeviceCapability,aclrtGetMemInfo,aclsysGetCANNVersion"},
			Info{"Ascend910B1", 24, 48, 0, 0, "", 1, ""}},
	} {
		pretend(t, "STANDIN_SOC=", "STANDIN_CUBES=", "STANDIN_VECTORS=", "STANDIN_HBM=", "STANDIN_DEVICES=", "STANDIN_CANN=", "STANDIN_LACKS=")
		pretend(t, c.settings...)
		c.want.Library = standinPath()
		if got, err := Probe(0); err != nil || got != c.want {
			t.Errorf("%v: %+v, %v, want %+v", c.settings, got, err, c.want)
		}
	}
}

// Whatever is missing is one clear sentence.
func TestNoDevice(t *testing.T) {
	pretend(t)
	empty, old := t.TempDir(), filepath.Join(t.TempDir(), "old.so")
	text := filepath.Join(empty, "text.so")
	must(t, os.WriteFile(text, []byte("no library"), 0o666))
	must(t, copyFile(old, kernelsPath()))
	for _, c := range []struct {
		name     string
		settings []string
		id       int
		kernels  string
		want     []string
	}{
		{"no file", []string{"LORAC_ACL=" + empty + "/none.so"}, 0, kernelsPath(), []string{"no Ascend runtime: LORAC_ACL names", "unset LORAC_ACL"}},
		{"no library", []string{"LORAC_ACL=" + text}, 0, kernelsPath(), []string{"no Ascend runtime", "text.so"}},
		{"not installed", []string{"LORAC_ACL=", "ASCEND_HOME_PATH="}, 0, kernelsPath(), []string{"no Ascend runtime: libascendcl.so", "set_env.sh", "--device cpu"}},
		{"too old", []string{"LORAC_ACL=" + old}, 0, kernelsPath(), []string{"too old: it lacks aclInit, aclFinalize"}},
		{"none", []string{"STANDIN_DEVICES=0"}, 0, kernelsPath(), []string{"no Ascend device: ACL finds none on this machine"}},
		{"another", []string{"STANDIN_DEVICES=2"}, 2, kernelsPath(), []string{"no Ascend device 2: this machine has 2, counted from 0"}},
		{"no kernels", nil, 0, empty + "/none.o", []string{"cannot open the kernels", "none.o"}},
		{"no kernels inside", nil, 0, standinPath(), []string{"loading the kernels of", "is no library of kernels", "must be compiled for Ascend910B3"}},
		{"another chip", []string{"STANDIN_SOC=Ascend310P3"}, 0, kernelsPath(), []string{"is an Ascend310P3; the kernels are for Atlas A2 and A3"}},
		{"no time", []string{"LORAC_DEVICE_TIMEOUT=1"}, 0, kernelsPath(), []string{"LORAC_DEVICE_TIMEOUT=1 is no time"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pretend(t, c.settings...)
			_, err := Open(c.id, c.kernels)
			if err == nil {
				t.Fatal("it opens")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error lacks %q:\n%v", w, err)
				}
			}
		})
	}
}

// The toolkit's directory is looked at where the loader finds nothing.
func TestToolkitLibrary(t *testing.T) {
	pretend(t, "LORAC_ACL=")
	home := t.TempDir()
	must(t, os.Mkdir(filepath.Join(home, "lib64"), 0o777))
	lib := filepath.Join(home, "lib64", library)
	must(t, copyFile(lib, standinPath()))
	t.Setenv("ASCEND_HOME_PATH", home)
	if info, err := Probe(0); err != nil || info.Library != lib {
		t.Errorf("loaded from %q: %v", info.Library, err)
	}
}

// Time is the device's own time.
func TestTime(t *testing.T) {
	for name, settings := range ways {
		t.Run(name, func(t *testing.T) {
			d := opened(t, settings...)
			for range 2 {
				took, err := d.Time(func() error { return d.Launch("slow", 1, 30) })
				if err != nil || took < 30*time.Millisecond || took > 10*time.Second {
					t.Errorf("30 ms take %v, %v", took, err)
				}
			}
		})
	}
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o777)
}

// An argument of another type is a mistake of the caller.
func TestArguments(t *testing.T) {
	d := opened(t)
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "kernel add: argument 1 is a int32") {
			t.Errorf("%v", r)
		}
	}()
	d.Launch("add", 1, Ptr(0), int32(1))
}

// Nothing is as good as anything of no bytes.
func TestNothing(t *testing.T) {
	d := opened(t)
	p := alloc(t, d, 0)
	must(t, d.Upload(p, nil), d.Zero(p, 0), d.Copy(p, p, 0), d.Download(nil, p), d.Free(p))
	if d.Syncs != 0 {
		t.Error("nothing was waited for")
	}
}

// BenchmarkLaunch is what a launch of twenty arguments costs the host.
func BenchmarkLaunch(b *testing.B) {
	if built.why != "" {
		b.Skip(built.why)
	}
	b.Setenv("LORAC_ACL", standinPath())
	d, err := Open(0, kernelsPath())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	args := make([]any, 20)
	for i := range args {
		args[i] = i
	}
	for b.Loop() {
		if err := d.Launch("slow", 1, args...); err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Sync(); err != nil {
		b.Fatal(err)
	}
}

// What is queued is worked off before the memory goes that it reads.
func TestCloseWithWork(t *testing.T) {
	for range 3 {
		pretend(t)
		d, err := Open(0, kernelsPath())
		must(t, err)
		p := alloc(t, d, 8<<20)
		must(t, d.Launch("slow", 1, 30), d.Upload(p, make([]byte, 8<<20)), d.Close())
	}
}

// Closing gives back what was not freed, and the next device starts with all of it.
func TestReopen(t *testing.T) {
	pretend(t)
	for range 3 {
		d, err := Open(0, kernelsPath())
		must(t, err)
		if d.FreeHBM != d.HBM {
			t.Errorf("%d of %d bytes are free", d.FreeHBM, d.HBM)
		}
		p := alloc(t, d, 4096)
		alloc(t, d, 1<<20)
		must(t, d.Launch("fill", 1, p, 1024, float32(1), 0, 2), d.Close())
	}
}
