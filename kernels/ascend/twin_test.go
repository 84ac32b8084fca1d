package ascend_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"lorac/kernels/ascend/ascendtest"
	"lorac/runtime/sys/dl"
)

// kernelLibrary is a library of kernels, called in this process.
type kernelLibrary struct {
	allocated, freed func(p unsafe.Pointer, n uintptr)
	launch           func(name string, blocks uint32, args unsafe.Pointer, bytes uintptr, why unsafe.Pointer, room uintptr) int32
	counters         func(v *uint64, n int32) int32
}

func openCorpus(t *testing.T, dir string) *kernelLibrary {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip(ascendtest.Missing)
	}
	path, err := ascendtest.Twin("corpus.so", dir, "twin/corpus")
	if err != nil {
		t.Fatal(err)
	}
	lib, err := dl.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l := &kernelLibrary{}
	if missing := lib.Bind([]dl.Call{{Name: "twin_allocated", Func: &l.allocated}, {Name: "twin_freed", Func: &l.freed}, {Name: "twin_launch", Func: &l.launch}, {Name: "twin_counters", Func: &l.counters}}); missing != nil {
		t.Fatalf("%s lacks %s", path, strings.Join(missing, ", "))
	}
	return l
}

func (l *kernelLibrary) run(name string, blocks int, args ...uint64) string {
	var why [700]byte
	if l.launch(name, uint32(blocks), unsafe.Pointer(&args[0]), uintptr(8*len(args)), unsafe.Pointer(&why[0]), uintptr(len(why))) == 0 {
		return ""
	}
	text, _, _ := strings.Cut(string(why[:]), "\x00")
	return text
}

// corpusCase is a kernel of the corpus, and what the twin must say of it.
type corpusCase struct {
	check, kernel string
	blocks        int
	message       string
}

var caseLine = regexp.MustCompile(`^CASE\(([\w ]+), (\w+), (?:AIV|AIC|MIX), (\d+), "(.*)"\)$`)

func corpusCases(t *testing.T, dir string) []corpusCase {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cases.h"))
	if err != nil {
		t.Fatal(err)
	}
	var list []corpusCase
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		m := caseLine.FindStringSubmatch(line)
		if m == nil {
			if !strings.HasPrefix(line, "//") {
				t.Fatalf("%s: no case: %s", dir, line)
			}
			continue
		}
		blocks, _ := strconv.Atoi(m[3])
		list = append(list, corpusCase{m[1], m[2], blocks, m[4]})
	}
	return list
}

// TestCorpus: every kernel with a mistake is caught, with the words that name it; no
// other is. Kernels whose cores meet are run in several orders.
func TestCorpus(t *testing.T) {
	const floats = 4096
	caught, passed := map[string]int{}, 0
	for _, dir := range []string{"twin/corpus", "twin/corpus/groups", "twin/corpus/all"} {
		lib := openCorpus(t, dir)
		sizes := []int{4 * floats, 4 * floats, 1 << 16} // x, y, the workspace
		memory := make([][]byte, len(sizes))
		for i, n := range sizes {
			m, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
			if err != nil {
				t.Fatal(err)
			}
			memory[i] = m
			lib.allocated(unsafe.Pointer(&m[0]), uintptr(n))
		}
		address := func(i int) uint64 { return uint64(uintptr(unsafe.Pointer(&memory[i][0]))) }
		seeds := []string{""}
		if dir != "twin/corpus" {
			seeds = []string{"", "1", "2", "3", "4", "5"}
		}
		for _, c := range corpusCases(t, dir) {
			for _, seed := range seeds {
				t.Setenv("LORAC_TWIN_SEED", seed)
				for i := range floats {
					binary.LittleEndian.PutUint32(memory[0][4*i:], math.Float32bits(float32(i%97-48)/8))
				}
				clear(memory[1])
				got := lib.run(c.kernel, c.blocks, address(0), address(1), address(2), floats)
				if got == "" {
					got = outcome(c.kernel, memory[0], memory[1])
				}
				switch {
				case c.message == "" && got != "":
					t.Errorf("%s: %s has no mistake, but the twin says (seed %q): %s", c.check, c.kernel, seed, got)
				case !strings.Contains(got, c.message):
					t.Errorf("%s: %s: the twin says (seed %q) %q, not %q", c.check, c.kernel, seed, got, c.message)
				}
			}
			if c.message == "" {
				passed++
			} else {
				caught[c.check]++
			}
		}
		for _, m := range memory {
			lib.freed(unsafe.Pointer(&m[0]), 0)
			syscall.Munmap(m)
		}
	}
	total := 0
	for _, n := range caught {
		total += n
	}
	t.Logf("%d kernels with a mistake in %d checks, %d without: %v", total, len(caught), passed, caught)
	if total < 40 || passed < 10 {
		t.Errorf("the corpus has %d kernels with a mistake and %d without", total, passed)
	}
}

// outcome says what is wrong with the numbers of a kernel that ended well.
func outcome(kernel string, x, y []byte) string {
	at := func(b []byte, i int) float64 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	if want := corpusValues[kernel]; want != nil {
		w := want(x)
		for i := range len(y) / 4 {
			v := 0.0 // where nothing is written
			if i < len(w) {
				v = w[i]
			}
			if got := at(y, i); math.Abs(got-v) > 1e-6*math.Abs(v) {
				return fmt.Sprintf("%s: y[%d] is %v, not %v", kernel, i, got, v)
			}
		}
	}
	for i := range len(y) / 4 {
		if math.IsNaN(at(y, i)) {
			return fmt.Sprint("NaN in y at ", i)
		}
	}
	if sum := at(x, 0) + at(x, 1) + at(x, 2) + at(x, 3) + at(x, 4); at(y, 0) == sum+3*at(x, 0) && at(y, 1) == 0 {
		return "wrong sum"
	}
	return ""
}

// TestCorpusRefused: what the vector unit does not have does not compile.
func TestCorpusRefused(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip(ascendtest.Missing)
	}
	const path = "twin/corpus/refused/refused.cpp"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("g++", "-std=c++17", "-fsyntax-only", "-fno-diagnostics-show-caret", "-Itwin", path).CombinedOutput()
	want, lines := regexp.MustCompile(`;\s+// (.*)$`), 0
	for i, line := range strings.Split(string(text), "\n") {
		said := strings.Contains(string(out), fmt.Sprintf("refused.cpp:%d:", i+1))
		m := want.FindStringSubmatch(line)
		switch {
		case m == nil && said && strings.HasSuffix(line, ";"):
			t.Errorf("a right line does not compile: %s", line)
		case m != nil && !said:
			t.Errorf("compiles: %s", line)
		case m != nil:
			lines++
			if !strings.Contains(string(out), m[1]) {
				t.Errorf("g++ does not say %q", m[1])
			}
		}
	}
	if lines < 10 || t.Failed() {
		t.Errorf("g++ says:\n%s", out)
	}
}

// TestTwinLaunch: an empty launch costs little, since trainers of small models make
// thousands. It is some 40 µs; the limit leaves room for a busy machine.
func TestTwinLaunch(t *testing.T) {
	lib := openCorpus(t, "twin/corpus/groups")
	m, err := syscall.Mmap(-1, 0, 1<<16, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(m)
	lib.allocated(unsafe.Pointer(&m[0]), 1<<16)
	defer lib.freed(unsafe.Pointer(&m[0]), 0)
	p := uint64(uintptr(unsafe.Pointer(&m[0])))
	best := time.Hour
	for range 20 {
		start := time.Now()
		if e := lib.run("ok_tiles", 1, p, p+1<<15, p, 64); e != "" {
			t.Fatal(e)
		}
		best = min(best, time.Since(start))
	}
	t.Logf("64 tiles of 64 floats on one core: %v", best)
	if best > 5*time.Millisecond {
		t.Errorf("a launch takes %v", best)
	}
}
