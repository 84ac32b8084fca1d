package codegen_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/ir"
)

// sizes are the numbers of a small Llama with adapters.
type sizes struct{ layers, heads, kvHeads, rank, hidden, ffn, vocab, seq int }

// yaml is a config of these sizes; everything else is the same for all.
func (s sizes) yaml() string {
	return fmt.Sprintf(`seed: 7
run_mode: finetune
trainer: {model_name: sized}
runner_config: {epochs: 2, batch_size: 2}
optimizer: {type: FP32StateAdamWeightDecay, beta1: 0.9, beta2: 0.95, eps: 1.e-8}
lr_schedule: {type: CosineWithWarmUpLR, learning_rate: 1.e-3, lr_end: 0, warmup_ratio: 0.1}
train_dataset:
  data_loader: {type: MindDataset, shuffle: True}
runner_wrapper: {use_clip_grad: True, max_grad_norm: 1.0}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: %d
    hidden_size: %d
    intermediate_size: %d
    num_layers: %d
    num_heads: %d
    n_kv_heads: %d
    vocab_size: %d
    param_init_type: float32
    compute_dtype: float32
    pet_config:
      pet_type: lora
      lora_rank: %d
      lora_alpha: 16
      lora_dropout: 0.1
      target_modules: '.*wq|.*wk|.*wv|.*wo|.*w1'
`, s.seq, s.hidden, s.ffn, s.layers, s.heads, s.kvHeads, s.vocab, s.rank)
}

func compile(t *testing.T, text string) *ir.Module {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sized.yaml")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	c, list := config.Load(path, nil)
	if c == nil {
		t.Fatal(list)
	}
	r, err := compiler.Compile(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Module
}

func emit(t *testing.T, m *ir.Module) map[string]string {
	t.Helper()
	files, err := codegen.Emit(m)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, text := range files {
		out[name] = string(text)
	}
	return out
}

var (
	// equal has sizes as equal as a model allows, different has none twice but
	// the heads, which both have as many of as key heads.
	equal     = sizes{layers: 8, heads: 8, kvHeads: 8, rank: 8, hidden: 64, ffn: 64, vocab: 64, seq: 64}
	different = sizes{layers: 5, heads: 3, kvHeads: 3, rank: 4, hidden: 48, ffn: 80, vocab: 96, seq: 32}
	grouped   = sizes{layers: 3, heads: 4, kvHeads: 2, rank: 4, hidden: 32, ffn: 80, vocab: 96, seq: 32}
)

var (
	header   = regexp.MustCompile(`(?m)^// Code generated .*$`)
	constant = regexp.MustCompile(`(?m)^(\t\w+|const \w+) += +[-0-9.e]+`)                             // of a const block
	keyed    = regexp.MustCompile(`(?m)^(\t+\w+:) +-?[0-9.e]+,( +// )?`)                              // of the job, and of the offsets
	pruned   = regexp.MustCompile(`(?m)^\tPruned: .*$|^\tHash: .*$|^\t\t"model\.model_config\..*",$`) // texts with numbers in them
	spaces   = regexp.MustCompile(` +`)                                                               // of alignment
)

// masked is a file without the constants that may differ between two sizes.
func masked(text string) string {
	text = header.ReplaceAllString(text, "")
	text = constant.ReplaceAllString(text, "$1 = #")
	text = pruned.ReplaceAllString(text, "")
	text = spaces.ReplaceAllString(text, " ")
	return keyed.ReplaceAllString(text, "$1 #,$2")
}

// TestSizesByRole: the program names sizes by what they count, never by their
// value, so that two models differ in their constants and nowhere else.
func TestSizesByRole(t *testing.T) {
	a, b := emit(t, compile(t, equal.yaml())), emit(t, compile(t, different.yaml()))
	for name := range a {
		if x, y := masked(a[name]), masked(b[name]); x != y {
			t.Errorf("%s differs beyond its constants:\n%s", name, firstDifference(x, y))
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d files and %d", len(a), len(b))
	}
	for _, want := range []string{"layers = 8 ", "heads = 8 ", "rank = 8 ", "headDim = 8 ", "hidden = 64 ", "vocab = 64 "} {
		if !strings.Contains(spaces.ReplaceAllString(a["model.go"], " "), want) {
			t.Errorf("model.go has no constant %q", want)
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d:\n  %s\n  %s", i+1, x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(x), len(y))
}

// TestEmittedLines: no line is longer than 120 columns, and where tensors are
// computed no number stands bare but small ones that count.
func TestEmittedLines(t *testing.T) {
	bare := regexp.MustCompile(`[^\w.%"]([0-9]{2,}|[0-9]+\.[0-9]+)\b`)
	for _, s := range []sizes{equal, different, grouped} {
		for name, text := range emit(t, compile(t, s.yaml())) {
			for i, line := range strings.Split(text, "\n") {
				if n := len([]rune(strings.ReplaceAll(line, "\t", "    "))); n > 120 {
					t.Errorf("%s:%d has %d columns: %s", name, i+1, n, line)
				}
				code, _, _ := strings.Cut(line, "//")
				if (name == "forward.go" || name == "backward.go") && bare.MatchString(code) {
					t.Errorf("%s:%d has a number without a name: %s", name, i+1, line)
				}
			}
		}
	}
}

// TestEmittedAlone: what a reader needs stands in the file: each letter of a
// shape is explained, each function says what it computes, each call has its
// results and the line of the config above it.
func TestEmittedAlone(t *testing.T) {
	files := emit(t, compile(t, grouped.yaml()))
	letter := regexp.MustCompile(`\(([A-Z]), ([A-Z])\)`)
	above := regexp.MustCompile(`^\t// .*`)
	for _, name := range []string{"forward.go", "backward.go"} {
		text := files[name]
		for _, m := range letter.FindAllStringSubmatch(text, -1) {
			for _, l := range m[1:] {
				if !strings.Contains(text, "\n//\t"+l+"  ") {
					t.Errorf("%s does not explain %s", name, l)
				}
			}
		}
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "func ") && !strings.HasPrefix(lines[i-1], "// ") {
				t.Errorf("%s:%d: no comment says what it is: %s", name, i+1, line)
			}
			if !strings.HasPrefix(strings.TrimPrefix(line, "\tloss := "), "\tm.k.") && !strings.Contains(line, "m.k.HeadLoss(") {
				continue
			}
			k := i
			for ; lines[k] != ""; k-- { // to the begin of the paragraph
			}
			if !above.MatchString(lines[k+1]) || !strings.Contains(strings.Join(lines[k+1:i], " "), "yaml:") {
				t.Errorf("%s:%d: nothing above says what it makes: %s", name, i+1, line)
			}
		}
	}
}
