package device

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lorac/kernels/ascend/ascendtest/cxx"
)

// kernels is a library of four kernels, with the C functions that the stand-in for
// ACL calls.
const kernels = `
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <unistd.h>
namespace {
float number(uint64_t word) { union { uint32_t i; float f; } u; u.i = uint32_t(word); return u.f; }
const char* names[] = {"fill", "add", "fail", "slow"};
int blocks_seen, memory_blocks;
}
extern "C" {
int twin_has(const char* name) { for (auto n : names) if (!strcmp(n, name)) return 1; return 0; }
void twin_allocated(void*, size_t) { memory_blocks++; }
void twin_freed(void*) { memory_blocks--; }
int twin_launch(const char* name, uint32_t blocks, const void* args, size_t bytes, char* why, size_t room)
{
    const uint64_t* a = (const uint64_t*)args;
    if (!strcmp(name, "fill")) { // p, n, value, number of blocks, number of allocations
        if (bytes != 40) { snprintf(why, room, "fill: %zu bytes of arguments", bytes); return 1; }
        for (uint64_t i = 0; i < a[1]; i++) ((float*)a[0])[i] = number(a[2]);
        if (a[3] && a[3] != blocks) { snprintf(why, room, "fill: %u blocks", blocks); return 1; }
        if (a[4] && a[4] != uint64_t(memory_blocks)) { snprintf(why, room, "fill: %d allocations", memory_blocks); return 1; }
    } else if (!strcmp(name, "add")) { // y, x, n
        for (uint64_t i = 0; i < a[2]; i++) ((float*)a[0])[i] += ((const float*)a[1])[i];
    } else if (!strcmp(name, "fail")) {
        snprintf(why, room, "add: read past the end");
        return 1;
    } else if (!strcmp(name, "slow")) { // milliseconds
        usleep(useconds_t(a[0] * 1000));
    }
    return 0;
}
}
`

// built are the stand-in and the kernels, or why there are none.
var built struct{ standin, kernels, why string }

func TestMain(m *testing.M) { os.Exit(withLibraries(m)) }

func withLibraries(m *testing.M) int {
	if _, err := exec.LookPath("g++"); err != nil {
		built.why = "the stand-in for ACL needs a C++17 compiler: g++"
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "device")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "kernels.cpp")
	if err := os.WriteFile(source, []byte(kernels), 0o666); err != nil {
		panic(err)
	}
	const standin = "../../kernels/ascend/standin"
	for _, b := range []struct {
		path *string
		l    cxx.Library
	}{
		{&built.standin, cxx.Library{Name: "libascendcl.so", Include: []string{standin}, Sources: []cxx.Source{{Path: filepath.Join(standin, "acl.cpp"), Small: true}}}},
		{&built.kernels, cxx.Library{Name: "kernels.so", Sources: []cxx.Source{{Path: source, Small: true}}}},
	} {
		if *b.path, err = b.l.Build(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

func standinPath() string { return built.standin }
func kernelsPath() string { return built.kernels }

// pretend sets the stand-in up for a test: NAME=value as at the head of acl.cpp.
func pretend(t *testing.T, settings ...string) {
	t.Helper()
	if built.why != "" {
		t.Skip(built.why)
	}
	t.Setenv("LORAC_ACL", standinPath())
	for _, s := range settings {
		for i := range s {
			if s[i] == '=' {
				t.Setenv(s[:i], s[i+1:])
				break
			}
		}
	}
}

// opened is a device for a test.
func opened(t *testing.T, settings ...string) *Device {
	t.Helper()
	pretend(t, settings...)
	d, err := Open(0, kernelsPath())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func sum(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
