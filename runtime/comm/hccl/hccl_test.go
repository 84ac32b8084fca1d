package hccl

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"lorac/cmd/test/testkit"
	"lorac/kernels/ascend/ascendtest"
	"lorac/kernels/ascend/ascendtest/cxx"
	"lorac/runtime/comm"
	"lorac/runtime/comm/star"
	"lorac/runtime/device"
)

// The tests run this program again, once a rank, each with a device of the stand-in.
const modeEnv, kernelsEnv = "HCCL_TEST_MODE", "HCCL_TEST_KERNELS"

func TestMain(m *testing.M) {
	if mode := os.Getenv(modeEnv); mode != "" {
		if err := rank(mode); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		return
	}
	os.Exit(m.Run())
}

// sources is a library of one kernel, an addition, as the stand-in for ACL loads it.
const sources = `
#include <cstddef>
#include <cstdint>
extern "C" {
int twin_has(const char*) { return 1; }
void twin_allocated(void*, size_t) {}
void twin_freed(void*) {}
int twin_launch(const char*, uint32_t, const void* args, size_t, char*, size_t)
{
    const uint64_t* a = (const uint64_t*)args;
    for (uint64_t i = 0; i < a[3]; i++) ((float*)a[0])[i] = ((const float*)a[1])[i] + ((const float*)a[2])[i];
    return 0;
}
}
`

// memory is vectors on a device.
type memory struct{ d *device.Device }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func at(x []float32) device.Ptr { return device.Ptr(uintptr(unsafe.Pointer(unsafe.SliceData(x)))) }

func (m memory) Alloc(n int) []float32 {
	p, err := m.d.Alloc(4 * n)
	must(err)
	u := uintptr(p)
	return unsafe.Slice((*float32)(*(*unsafe.Pointer)(unsafe.Pointer(&u))), n)
}
func (m memory) Add(dst, a, b []float32) {
	must(m.d.Launch("add", 1, at(dst), at(a), at(b), len(dst)))
}
func (m memory) Copy(dst, src []float32) { must(m.d.Copy(at(dst), at(src), 4*len(src))) }
func (m memory) Clear(x []float32)       { must(m.d.Zero(at(x), 4*len(x))) }

// hostMemory is the same on the host.
type hostMemory struct{}

func (hostMemory) Alloc(n int) []float32 { return make([]float32, n) }
func (hostMemory) Add(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}
func (hostMemory) Copy(dst, src []float32) { copy(dst, src) }
func (hostMemory) Clear(x []float32)       { clear(x) }

func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

const units = 8

// unit is a vector to be summed.
func unit(u, n int) []float32 {
	rng, x := rand.New(rand.NewPCG(uint64(u), 7)), make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

var sizes = []int{1, 5, 1000, 300_001}

// sums is the digest of sums over the units, this process's part of them in memory m.
func sums(g *comm.Group, rank, ranks int, m comm.Memory, put func(to, x []float32), get func(x []float32) []float32) (string, error) {
	h := sha256.New()
	for _, n := range sizes {
		a := comm.NewAdder(comm.Even(units, ranks, 1), rank, n, m)
		a.Reserve()
		v, out := m.Alloc(n), m.Alloc(n)
		from, to := comm.Even(units, ranks, 1).Of(rank)
		for range 2 {
			for u := from; u < to; u++ {
				put(v, unit(u, n))
				a.Take(u, v, float64(u)/3)
			}
			loss, err := a.Finish(g, out, nil)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%v %x\n", loss, sha256.Sum256(bytesOf(get(out))))
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// rank is one process.
func rank(mode string) error {
	l := comm.Launched()
	id := l.Rank
	if mode == "same device" {
		id = 0
	}
	t, err := Join(comm.Options{})
	if err != nil {
		return err
	}
	link := New(t)
	g, err := comm.New(t, comm.Options{Vectors: link, Timeout: 20 * time.Second})
	if err != nil {
		return err
	}
	d, err := device.Open(id, os.Getenv(kernelsEnv))
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // what went wrong was said
	if err := link.Connect(g, d.Queue); err != nil {
		return err
	}
	if mode == "sum" {
		m := memory{d}
		text, err := sums(g, l.Rank, l.Size, m, func(to, x []float32) { must(d.Upload(at(to), bytesOf(x))) }, func(x []float32) []float32 {
			out := make([]float32, len(x))
			must(d.Download(bytesOf(out), at(x)))
			return out
		})
		if err != nil {
			return err
		}
		if err := link.Close(); err != nil {
			return err
		}
		fmt.Println("sum", text)
		return g.Close()
	}
	return errors.Join(wrong(mode, g, link, d), g.Barrier())
}

// wrong does what the stand-in must refuse.
func wrong(mode string, g *comm.Group, l *Link, d *device.Device) error {
	x := memory{d}.Alloc(100)
	p, first := unsafe.Pointer(unsafe.SliceData(x)), l.rank == 0
	peer := uint32(1 - l.rank)
	send := func(p unsafe.Pointer, n uint64, dtype int32, peer uint32) error {
		return d.Queue("send", func(s uintptr) error { return l.lib.fault("HcclSend", l.lib.send(p, n, dtype, peer, l.comm, s)) })
	}
	recv := func(n uint64, dtype int32) error {
		return d.Queue("receive", func(s uintptr) error { return l.lib.fault("HcclRecv", l.lib.recv(p, n, dtype, peer, l.comm, s)) })
	}
	pair := func(n, m uint64, t, u int32) error {
		if first {
			return errors.Join(send(p, n, t, peer), d.Sync())
		}
		return errors.Join(recv(m, u), d.Sync())
	}
	switch mode {
	case "counts":
		return pair(10, 9, typeFP32, typeFP32)
	case "types":
		return pair(10, 10, typeFP32, typeUint8)
	case "circle":
		return errors.Join(send(p, 10, typeFP32, peer), d.Sync())
	case "left":
		if first {
			return errors.Join(send(p, 10, typeFP32, peer), d.Sync())
		}
		return l.Close()
	case "bounds":
		return send(unsafe.Add(p, 4), 100, typeFP32, peer)
	case "host memory":
		return send(unsafe.Pointer(&make([]float32, 100)[0]), 100, typeFP32, peer)
	case "stream":
		return l.lib.fault("HcclSend", l.lib.send(p, 1, typeFP32, peer, l.comm, 4096))
	case "type":
		return send(p, 1, 99, peer)
	case "peer":
		return send(p, 1, typeFP32, 2)
	case "itself":
		return send(p, 1, typeFP32, uint32(l.rank))
	case "destroyed":
		old := l.comm
		return errors.Join(l.Close(), l.lib.fault("HcclSend", l.lib.send(p, 1, typeFP32, peer, old, 1)))
	case "not done":
		if first {
			return errors.Join(send(p, 1, typeFP32, peer), l.Close())
		}
		return errors.Join(g.Barrier(), errors.New("BUG: the other rank ends")) // it fails before
	}
	return fmt.Errorf("BUG: %s", mode)
}

var built struct {
	sync.Once
	kernels string
	err     error
}

// libraries are the stand-ins.
func libraries(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip(ascendtest.Missing)
	}
	built.Do(func() {
		file := filepath.Join(os.TempDir(), "hccl-kernels-"+strconv.Itoa(os.Getpid())+".cpp")
		defer os.Remove(file)
		built.err = errors.Join(ascendtest.ACL(), ascendtest.HCCL(), os.WriteFile(file, []byte(sources), 0o600))
		if built.err == nil {
			built.kernels, built.err = cxx.Library{Name: "added.so", Sources: []cxx.Source{{Path: file, Small: true}}}.Build()
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.kernels
}

// start runs n ranks and gives what each said, all within a minute.
func start(t *testing.T, n int, mode string, env ...string) []string {
	t.Helper()
	kernels := libraries(t)
	hub, err := star.NewHub(n, "", "", star.Events{Lost: func(int) {}, Abort: func(int, int) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	said := make([]string, n)
	var wait sync.WaitGroup
	for r := range n {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.WaitDelay = time.Second
		cmd.Env = append(append(os.Environ(), star.Env(hub.Address, hub.Token, r, n, r, n)...), modeEnv+"="+mode, kernelsEnv+"="+kernels, "STANDIN_DEVICES="+strconv.Itoa(n))
		cmd.Env = append(cmd.Env, env...)
		wait.Go(func() {
			out, err := cmd.CombinedOutput()
			said[r] = fmt.Sprint(string(out), err)
		})
	}
	wait.Wait()
	return said
}

// Sums over devices have the bits of one process on the host.
func TestSums(t *testing.T) {
	libraries(t)
	want, err := sums(nil, 0, 1, hostMemory{}, func(to, x []float32) { copy(to, x) }, func(x []float32) []float32 { return x })
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 5} {
		if n > 2 && !testkit.Wanted("ascend") {
			break
		}
		for r, said := range start(t, n, "sum") {
			if !strings.Contains(said, "sum "+want) {
				t.Errorf("rank %d of %d says %q, want %s", r, n, said, want)
			}
		}
	}
}

// A rank table gives the same.
func TestRankTable(t *testing.T) {
	testkit.Slow(t, "ascend")
	libraries(t)
	table := filepath.Join(t.TempDir(), "table.json")
	text := `{"version":"1.0","server_count":"1","server_list":[{"server_id":"a","device":[{"device_id":"0","rank_id":"0"},{"device_id":"1","rank_id":"1"}]}],"status":"completed"}`
	if err := os.WriteFile(table, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, said := range start(t, 2, "sum", TableEnv+"="+table) {
		if !strings.Contains(said, "sum ") {
			t.Errorf("%s", said)
		}
	}
	for _, said := range start(t, 3, "sum", TableEnv+"="+table, "HCCL_CONNECT_TIMEOUT=1") {
		if !strings.Contains(said, "HcclCommInitClusterInfo") && !strings.Contains(said, "HCCL counts 2") && !strings.Contains(said, "lost") {
			t.Errorf("%s", said)
		}
	}
}

// The stand-in refuses what the real library would choke on, and names it.
func TestStandinRefuses(t *testing.T) {
	for mode, want := range map[string]string{
		"counts":      "rank 0 sends 10 of fp32, rank 1 receives 9 of fp32",
		"types":       "rank 0 sends 10 of fp32, rank 1 receives 10 of uint8",
		"circle":      "the ranks wait for each other: 10 of fp32 to rank ",
		"left":        "which has left: the other side never comes",
		"bounds":      "400 bytes are not within device memory",
		"host memory": "400 bytes are not within device memory",
		"stream":      "not a stream",
		"type":        "type 99 is none",
		"peer":        "rank 2 of 2",
		"itself":      "is this one",
		"destroyed":   "the communicator is not there, or destroyed",
		"same device": "ranks 0 and 1 both use device 0",
	} {
		t.Run(mode, func(t *testing.T) {
			if mode != "counts" && mode != "circle" {
				testkit.Slow(t, "ascend")
			}
			said := strings.Join(start(t, 2, mode), "\n")
			if !strings.Contains(said, want) {
				t.Errorf("it says %q, want %q", said, want)
			}
		})
	}
}

// Injected faults: a code, a transfer that never ends, a process that dies.
func TestInjected(t *testing.T) {
	testkit.Slow(t, "ascend")
	said := start(t, 2, "sum", "STANDIN_HCCL_FAULT=7@HcclCommInitRootInfo", "STANDIN_HCCL_RANK=1", "HCCL_CONNECT_TIMEOUT=1")
	if !strings.Contains(said[1], "HcclCommInitRootInfo failed: unavailable: HcclCommInitRootInfo: injected [HCCL error 7]") || !strings.Contains(said[0], "not all ranks came: 1 of 2 [HCCL error 9]") {
		t.Errorf("%q", said)
	}
	said = start(t, 2, "sum", "STANDIN_HCCL_HANG=HcclSend:3", "STANDIN_HCCL_RANK=0", "HCCL_EXEC_TIMEOUT=1")
	if !strings.Contains(said[0], "HcclSend: injected: it never ends") && !strings.Contains(said[0], "did not come in time") {
		t.Errorf("%q", said)
	}
	said = start(t, 2, "sum", "STANDIN_HCCL_DIE=HcclRecv:2", "STANDIN_HCCL_RANK=1", "HCCL_EXEC_TIMEOUT=1")
	if !strings.Contains(said[1], "signal: killed") {
		t.Errorf("%q", said)
	}
}

// Without the library it is one clear error.
func TestNoLibrary(t *testing.T) {
	testkit.Slow(t, "ascend")
	libraries(t)
	for _, said := range start(t, 2, "sum", LibraryEnv+"=/none/libhccl.so") {
		if !strings.Contains(said, "several devices need HCCL") {
			t.Errorf("%s", said)
		}
	}
}
