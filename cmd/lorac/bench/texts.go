package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
)

// textRate is texts that the built trainer generated on synthetic weights.
type textRate struct {
	Base    string  `json:"base_dtype"`
	Layers  int     `json:"layers"`
	Texts   int     `json:"texts_at_once"`
	Prompt  int     `json:"prompt_ids"`
	IDs     int     `json:"ids_of_a_text"`
	Reading float64 `json:"prompt_tokens_per_second"`
	Decode  float64 `json:"decode_tokens_per_second"`
	Bytes   int     `json:"bytes_per_step"` // weights and caches that a step of decoding reads
	Read    float64 `json:"memory_read_gb"` // per second, sampled before and after
	GBps    float64 `json:"gb_per_second"`
	Share   float64 `json:"share_of_read"`
}

// texts are the runs of a part: one text and eight at once, or one long prompt. Neither
// part is one of all: each is asked for by its name.
func (c *Options) texts() (list []textRate) {
	if c.Only == "prompt" {
		n := 512
		if len(c.Rows) > 0 {
			n = c.Rows[len(c.Rows)-1]
		}
		list = append(list, textRate{Texts: 1, Prompt: n, IDs: 2})
	}
	if c.Only == "decode" {
		for _, n := range []int{1, 8} {
			list = append(list, textRate{Texts: n, Prompt: 16, IDs: 48})
		}
	}
	return list
}

// measureTexts builds a trainer that predicts, and has it generate texts.
func (c *Options) measureTexts(r *Report) error {
	list := c.texts()
	if len(list) == 0 {
		return nil
	}
	most := 0
	for _, x := range list {
		most = max(most, x.Texts*(x.Prompt+x.IDs+1))
	}
	more := []config.Override{{Path: "run_mode", Value: "predict", Origin: "bench"}, {Path: "model.model_config.min_new_tokens", Value: "48", Origin: "bench"}, {Path: "model.model_config.seq_length", Value: strconv.Itoa(most), Origin: "bench"}}
	if c.Layers != nil {
		more = append(more, config.Override{Path: "model.model_config.num_layers", Value: strconv.Itoa(*c.Layers), Origin: "bench"})
	}
	cfg, err := c.loadAs(more...)
	if err != nil {
		return err
	}
	res, err := build.Compile(cfg, build.Target{}, c.Compiler)
	if err != nil {
		return err
	}
	dir, err := tempDir()
	if err != nil {
		return err
	}
	need := (&stepJob{stepRate: &stepRate{}, cfg: cfg, full: res})
	bytes, err := need.bytes()
	if err == nil {
		err = build.CheckSpace("texts of "+human.Count(cfg.Model.Layers.V, "layer"), dir, bytes, disk.Free(dir), "TMPDIR says where the weights are written to; fewer --layers take less")
	}
	if err != nil {
		return err
	}
	return inBenchDir(func(ctx context.Context, dir string) error {
		if err := writeBase(ctx, cfg, dir); err != nil {
			return err
		}
		if err := writeTokenizer(filepath.Join(dir, "tokenizer.json"), cfg.Model.Vocab.V); err != nil {
			return err
		}
		here, _ := build.PlatformOf("")
		bin, _, err := build.In(filepath.Join(dir, "build"), res.Module, here)
		if err != nil {
			return err
		}
		for i := range list {
			if err := c.runTexts(ctx, r, &list[i], cfg, res.Module, bin, dir); err != nil {
				return err
			}
		}
		r.Texts = list
		return nil
	})
}

// said is what a trainer says of its texts (infer.Stats).
var said = regexp.MustCompile(`prompts of [\d,]+ ids? at ([\d.]+) tokens/s(?:, [\d,]+ more ids? generated at ([\d.]+) tokens/s)?`)

func (c *Options) runTexts(ctx context.Context, r *Report, x *textRate, cfg *config.Config, m *ir.Module, bin, dir string) error {
	prompts := filepath.Join(dir, "prompts.txt")
	word := strings.TrimSpace(strings.Repeat("1 ", x.Prompt-1)) // and the id that begins a text
	if err := os.WriteFile(prompts, []byte(strings.Repeat(word+"\n", x.Texts)), 0o666); err != nil {
		return err
	}
	before, _ := r.k.Bandwidth(200e6)
	text, err := exec.CommandContext(ctx, bin, "--load_checkpoint", dir, "--tokenizer", filepath.Join(dir, "tokenizer.json"), "--predict_data", prompts,
		"--max_new_tokens", strconv.Itoa(x.IDs), "--threads", strconv.Itoa(r.Threads),
		"--predict_batch_size", strconv.Itoa(x.Texts), "--output_dir", filepath.Join(dir, "out"), "--save_file", "", "--allow_slow", "True").CombinedOutput()
	if err != nil {
		return fmt.Errorf("the trainer failed: %w\n%s", err, text)
	}
	after, _ := r.k.Bandwidth(200e6)
	found := said.FindSubmatch(text)
	if found == nil {
		return fmt.Errorf("BUG: bench: the trainer does not say how fast it was:\n%s", text)
	}
	x.Reading, _ = strconv.ParseFloat(string(found[1]), 64)
	x.Decode, _ = strconv.ParseFloat(string(found[2]), 64)
	x.Layers, x.Base = cfg.Model.Layers.V, cfg.Model.ParamDType.V
	x.Bytes = decodeBytes(m, x)
	if cfg.Quant.V != "" {
		x.Base = cfg.Quant.V
		n, err := build.BlockBytes(cfg)
		if err != nil {
			return err
		}
		x.Bytes += n - frozenBytes(m)
	}
	x.Read = (before + after) / 2 / 1e9
	x.GBps = float64(x.Bytes) * x.Decode / float64(x.Texts) / 1e9
	x.Share = x.GBps / x.Read
	return nil
}

// frozenBytes is what the matrices take that a step of decoding reads whole.
func frozenBytes(m *ir.Module) (n int) {
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !m.OnlyEmbeds(s) {
			n += s.Count() * s.Type.Bytes(nil)
		}
	}
	return n
}

// decodeBytes is that and the keys and values of texts half way.
func decodeBytes(m *ir.Module, x *textRate) int {
	n := frozenBytes(m)
	for _, s := range m.Storages {
		if s.Kind == ir.Cache {
			n += s.Count() * 4 * s.Type.Shape[1].N * x.Texts * (x.Prompt + x.IDs/2)
		}
	}
	return n
}

// writeTokenizer writes one of n pieces: bytes, and numbers after a blank.
func writeTokenizer(path string, n int) error {
	vocab := map[string]int{"<unk>": 0, "<s>": 1, "</s>": 2}
	for b := 0; b < 256 && len(vocab) < n; b++ {
		vocab[fmt.Sprintf("<0x%02X>", b)] = len(vocab)
	}
	for i := 0; len(vocab) < n; i++ {
		vocab[fmt.Sprintf("▁%d", i)] = len(vocab)
	}
	pieces, err := json.Marshal(vocab)
	if err != nil {
		return err
	}
	return os.WriteFile(path, fmt.Appendf(nil, `{"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}, `+
		`"added_tokens": [], "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "merges": [], "vocab": %s}}`, pieces), 0o666)
}

// printTexts writes the rates as a table.
func (r *Report) printTexts(out io.Writer) {
	w := table(out)
	fmt.Fprintln(w, "texts at once\tprompt\tids\tprompt tokens/s\tdecode tokens/s\tGB/s\tof read\t base")
	for _, x := range r.Texts {
		fmt.Fprintf(w, "%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.0f %%\t %s, %s\n", x.Texts, x.Prompt, x.IDs, x.Reading, x.Decode, x.GBps, 100*x.Share, x.Base, human.Count(x.Layers, "layer"))
	}
	w.Flush()
	fmt.Fprint(out, "\nGB/s are the weights and caches of a step of decoding, however many texts share it, held against the memory's\nread rate just before and after.\n")
}
