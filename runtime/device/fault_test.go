package device

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// says fails a test where a fault has another code or text.
func says(t *testing.T, err error, code int, want ...string) *Fault {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("the error is no fault: %v", err)
	}
	if f.Code != code {
		t.Errorf("the code is %d, want %d: %v", f.Code, code, err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error lacks %q:\n%v", w, err)
		}
	}
	return f
}

// three launches a kernel three times, for layers that its notes name.
func three(t *testing.T, d *Device) {
	t.Helper()
	p := alloc(t, d, 64)
	for _, layer := range []string{"0", "1", "2"} {
		d.At("norm of layer " + layer)
		must(t, d.Launch("fill", 1, p, 16, float32(1), 0, 0))
		d.At(func() string { return "sum of layer " + layer + " (config.yaml:44)" })
		must(t, d.Launch("add", 1, p, p, 16))
	}
}

// An asynchronous fault names the launch it belongs to: by ACL's callback, else by
// the kernel's name in ACL's text, and stays.
func TestFaultOfLaunch(t *testing.T) {
	d := opened(t, "STANDIN_FAULT=507015@add:2")
	three(t, d)
	err := d.Sync()
	f := says(t, err, 507015, "the device failed in sum of layer 1 (config.yaml:44), kernel add: exception on a cube core [ACL error 507015]", "= note: Kernel task happen error")
	if f.Kernel != "add" || f.Note != "sum of layer 1 (config.yaml:44)" {
		t.Errorf("it is of %q, %q", f.Kernel, f.Note)
	}
	_, allocErr := d.Alloc(1)
	for _, again := range []error{d.Sync(), d.Launch("fill", 1), d.Upload(0, []byte{1}), d.Download([]byte{1}, 0), d.Zero(0, 1), d.Copy(0, 0, 1), allocErr} {
		if again != err {
			t.Errorf("afterwards: %v", again)
		}
	}
}

func TestFaultWithoutCallback(t *testing.T) {
	d := opened(t, "STANDIN_FAULT=507035@5", "STANDIN_LACKS=aclrtGetThreadLastTaskId")
	three(t, d)
	says(t, d.Sync(), 507035, "failed in kernel fill, one of 3 launches since norm of layer 0, up to norm of layer 2: exception on a vector core")
}

func TestFaultOfOneOfAll(t *testing.T) {
	d := opened(t, "STANDIN_LACKS=aclrtGetThreadLastTaskId")
	three(t, d)
	says(t, d.fault("waiting for the device", 507054), 507054, "that cannot be corrected (ECC), one of 6 launches since norm of layer 0, up to sum of layer 2 (config.yaml:44)", "npu-smi info -t ecc")
}

// A task's number may lack the rounds of its 16 bits; the kernel's name wins over it.
func TestFaultOfTask(t *testing.T) {
	list := []launched{{kernel: "a", task: 7}, {kernel: "b", task: 8}, {kernel: "a", task: 1<<16 + 9}, {kernel: "a", task: 2<<16 + 9}}
	for task, want := range map[uint32]int{7: 0, 8: 1, 1<<16 + 9: 2, 9: 3, 5<<16 + 8: 1} {
		if got := ofTask(list, task); len(got) != 1 || got[0].task != list[want].task {
			t.Errorf("task %d: %v", task, got)
		}
	}
	if got := ofTask(list, 4); len(got) != len(list) {
		t.Errorf("no such task: %v", got)
	}
	d := opened(t)
	three(t, d)
	exception.task, exception.told = d.queue.ring[1].task, true // an add, but the text says fill
	f := &Fault{Text: "fault kernel_name=fill_mix_aic"}
	if d.blame(f); f.Kernel != "fill" || f.Among != 3 {
		t.Errorf("%+v", f)
	}
}

// What a kernel itself finds comes out with its text.
func TestKernelFails(t *testing.T) {
	d := opened(t)
	must(t, d.Launch("fail", 3))
	f := says(t, d.Sync(), 507015, "kernel fail: exception on a cube core", "add: read past the end")
	if f.Kernel != "fail" {
		t.Errorf("it is of %q", f.Kernel)
	}
}

// More launches than the queue remembers: the last are known.
func TestManyLaunches(t *testing.T) {
	d := opened(t, "STANDIN_FAULT=507015@33000")
	p := alloc(t, d, 64)
	for range kept + 300 {
		must(t, d.Launch("add", 1, p, p, 0))
	}
	f := says(t, d.Sync(), 507015)
	if f.Kernel != "add" || d.Launches != kept+300 || len(d.queue.ring) != kept {
		t.Errorf("it is of %q among %d", f.Kernel, len(d.queue.ring))
	}
}

func TestUnknownKernel(t *testing.T) {
	d := opened(t)
	says(t, d.Launch("none", 1), 107000, "finding the kernel none failed", "no kernel none")
	must(t, d.Sync()) // that is no fault of the device
}

func TestOutOfMemory(t *testing.T) {
	d := opened(t, "STANDIN_HBM=100000000")
	p := alloc(t, d, 60000000)
	_, err := d.Alloc(50000000)
	f := says(t, err, 207001, "no device memory left: 47.7 MiB (50,000,000 bytes) were asked for, 38.1 MiB of 95.4 MiB are free", "= help: npu-smi info shows what other processes hold")
	if f.Asked != 50000000 || f.Free != 40000000 || f.Total != 100000000 {
		t.Errorf("%+v", f)
	}
	must(t, d.Free(p))
	p = alloc(t, d, 50000000) // what was freed is there
	must(t, d.Free(p))
}

// A launch that never ends is given up after a time, and so is closing.
func TestHang(t *testing.T) {
	d := opened(t, "STANDIN_HANG=add", "LORAC_DEVICE_TIMEOUT=200ms")
	three(t, d)
	start := time.Now()
	says(t, d.Sync(), 507046, "the device did not finish within 200ms: one of 6 launches since norm of layer 0, up to sum of layer 2 (config.yaml:44)", "LORAC_DEVICE_TIMEOUT")
	if took := time.Since(start); took < 200*time.Millisecond || took > 10*time.Second {
		t.Errorf("that took %v", took)
	}
}

func TestLost(t *testing.T) {
	d := opened(t, "STANDIN_LOST=3")
	p := alloc(t, d, 64)
	for range 2 {
		must(t, d.Launch("add", 1, p, p, 16))
	}
	err := d.Launch("add", 1, p, p, 16)
	says(t, err, 507010, "the device is lost: it no longer answers (launching the kernel add)", "npu-smi")
	if again := d.Sync(); again != err {
		t.Errorf("afterwards: %v", again)
	}
}

// Every call is made in the order that CANN's documents ask for.
func TestCalls(t *testing.T) {
	log := t.TempDir() + "/calls"
	pretend(t, "STANDIN_LOG="+log)
	d, err := Open(0, kernelsPath())
	must(t, err)
	p := alloc(t, d, 64)
	must(t, d.Upload(p, make([]byte, 64)), d.Launch("add", 5, p, p, 16), d.Download(make([]byte, 64), p), d.Free(p), d.Close())
	text, err := os.ReadFile(log)
	must(t, err)
	want := `aclInit
aclrtSetDevice 0
aclrtSetDeviceSatMode 1
aclrtGetMemInfo
aclrtCreateStream
aclrtBinaryLoadFromFile
aclrtMalloc
aclrtMemcpyAsync
aclrtBinaryGetFunction
aclrtKernelArgsInit
aclrtLaunchKernelWithConfig
launch add 5
aclrtSynchronizeStreamWithTimeout
aclrtMemcpy
aclrtFree
aclrtDestroyStream
aclrtResetDevice
aclFinalize
`
	if string(text) != want {
		t.Errorf("the calls are\n%s", text)
	}
}
