package peft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lorac/runtime/weights/jsonkeys"
	"lorac/runtime/weights/naming"
)

// fileConfig is adapter_config.json as read.
type fileConfig struct {
	Config
	rsLoRA       bool
	targets      func(module string) bool // whether target_modules selects it
	allLinear    bool                     // target_modules is all-linear
	anything     bool                     // target_modules is a pattern that is not understood
	excluded     func(module string) bool // by exclude_modules
	layers       []int                    // layers_to_transform; nil: all
	containers   []string                 // layers_pattern: what layers are in; nil: anything
	unread       []string                 // what could not be compared with the matrices, in words
	mlx          bool                     // MLX-LM wrote it
	mlxLayers    *int                     // its num_layers: the last so many layers, -1 for all; nil: not said
	rankPattern  []rule
	alphaPattern []rule
}

// rule is one entry of rank_pattern or alpha_pattern, in the order of the file.
type rule struct {
	name    string
	pattern *regexp.Regexp
	value   float64
}

// parseConfig reads adapter_config.json. Settings that make the adapter more than
// W + scale·B·A are rejected by name; unknown keys are skipped, as in PEFT.
func parseConfig(text []byte) (*fileConfig, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if _, err := jsonkeys.Lines(text); err != nil {
		return nil, err
	}
	if isMLX(keys) {
		return parseMLX(keys)
	}
	c := &fileConfig{Config: Config{Rank: 8, Alpha: 8}} // PEFT's defaults
	var kind string
	for _, k := range []struct {
		key string
		to  any
	}{
		{"peft_type", &kind}, {"r", &c.Rank}, {"lora_alpha", &c.Alpha}, {"lora_dropout", &c.Dropout},
		{"use_rslora", &c.rsLoRA}, {"use_dora", &c.DoRA}, {"base_model_name_or_path", &c.Base},
		{"modules_to_save", &c.Modules}, {"ensure_weight_tying", &c.Tied},
	} {
		if raw, ok := keys[k.key]; ok {
			if err := json.Unmarshal(raw, k.to); err != nil {
				return nil, fmt.Errorf("`%s` is %s, %s is due", k.key, short(raw), due(k.to))
			}
		}
	}
	if kind == "" {
		return nil, errors.New("it has no `peft_type`, so PEFT did not write it\n  = help: give the directory that PEFT's save_pretrained wrote, or one of MLX-LM")
	}
	if kind != "LORA" {
		return nil, fmt.Errorf("`peft_type` is %q; only LORA is supported", kind)
	}
	if err := refuseVariants(keys); err != nil {
		return nil, err
	}
	switch {
	case c.Rank < 1:
		return nil, fmt.Errorf("`r` is %d, must be at least 1", c.Rank)
	case c.Alpha == 0:
		return nil, errors.New("`lora_alpha` is 0, so the adapter changes nothing\n  = help: write the lora_alpha of its training")
	case c.Dropout < 0 || c.Dropout >= 1:
		return nil, fmt.Errorf("`lora_dropout` is %g, must lie in [0, 1)", c.Dropout)
	}
	for _, k := range []string{"lora_alpha", "r"} {
		if !given(keys[k]) {
			c.unread = append(c.unread, fmt.Sprintf("adapter_config.json has no `%s`, on which its effect depends: 8 counts, the default of PEFT", k))
		}
	}
	if raw := keys["task_type"]; given(raw) && string(raw) != `"CAUSAL_LM"` {
		c.unread = append(c.unread, fmt.Sprintf("its `task_type` is %s, not CAUSAL_LM: it was trained under another head than that of a language model", short(raw)))
	}
	var err error
	if c.rankPattern, err = parseRules(keys["rank_pattern"]); err != nil {
		return nil, fmt.Errorf("`rank_pattern`: %w", err)
	}
	for _, r := range c.rankPattern {
		if r.value < 1 || r.value != math.Trunc(r.value) || r.value > math.MaxInt32 {
			return nil, fmt.Errorf("`rank_pattern` has the rank %g", r.value)
		}
	}
	if c.alphaPattern, err = parseRules(keys["alpha_pattern"]); err != nil {
		return nil, fmt.Errorf("`alpha_pattern`: %w", err)
	}
	if err := c.parseLayers(keys); err != nil {
		return nil, err
	}
	return c, c.parseTargets(keys["target_modules"])
}

// due says in words what a value must be.
func due(to any) string {
	switch to.(type) {
	case *string:
		return "a text"
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *[]string:
		return "a list of names"
	}
	return "a number"
}

// variants are the settings that make an adapter more than W + scale·B·A, each
// with the values that switch it off.
var variants = []struct {
	key  string
	fine []string
	why  string
}{
	{"bias", []string{`"none"`}, "trained biases, which are not read with an adapter: merge it with PEFT"},
	{"lora_bias", []string{"false"}, "a bias beside factor B"},
	{"fan_in_fan_out", []string{"false"}, "transposed weights"},
	{"layer_replication", []string{"[]"}, "a model of repeated layers"},
	{"trainable_token_indices", []string{"[]", "{}"}, "trained rows of the embedding"},
	{"target_parameters", []string{"[]"}, "adapters of parameters that are no linear"},
	{"use_qalora", []string{"false"}, "QA-LoRA, which pools the input"},
	{"alora_invocation_tokens", []string{"[]"}, "activated LoRA, which depends on the text"},
	{"init_lora_weights", []string{"true", "false", `"gaussian"`, `"eva"`, `"orthogonal"`},
		"a start that changes the base weights too; have PEFT convert it to plain LoRA (path_initial_model_for_weight_conversion)"},
}

func refuseVariants(keys map[string]json.RawMessage) error {
	var errs []error
	for _, v := range variants {
		raw, ok := keys[v.key]
		value := string(bytes.TrimSpace(raw))
		if !ok || value == "null" || slices.Contains(v.fine, value) {
			continue
		}
		errs = append(errs, fmt.Errorf("`%s: %s` is not supported: %s", v.key, short(raw), v.why))
	}
	return errors.Join(errs...)
}

// parseRules reads {"pattern": number, …} in the order of the file: the first
// match counts.
func parseRules(raw json.RawMessage) ([]rule, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("%s is not an object", short(raw))
	}
	var rules []rule
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value float64
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("the value of %q is not a number", key)
		}
		// PEFT: re.match(rf"(.*\.)?({key})$", module)
		pattern, err := regexp.Compile(`^(?:.*\.)?(?:` + key.(string) + `)$`)
		if err != nil {
			return nil, fmt.Errorf("%q is not a supported pattern: %w", key, err)
		}
		rules = append(rules, rule{key.(string), pattern, value})
	}
	_, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return rules, err
}

// parseTargets reads target_modules: a list of name suffixes, a regular expression
// for the full name, or "all-linear". An expression that Go does not support
// (look-around, back-references) is taken to select every adapter in the file.
func (c *fileConfig) parseTargets(raw json.RawMessage) error {
	c.targets = func(string) bool { return true }
	c.anything = true
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var pattern string
	if json.Unmarshal(raw, &pattern) == nil {
		if re, err := regexp.Compile(`^(?:` + pattern + `)$`); pattern == "all-linear" {
			c.anything, c.allLinear = false, true
		} else if err == nil {
			c.targets, c.anything = re.MatchString, false
		} else {
			c.unread = append(c.unread, fmt.Sprintf("`target_modules` is %s, a pattern that is not understood: it is taken to select every matrix of the file", short(raw)))
		}
		if c.layers != nil {
			return fmt.Errorf("`layers_to_transform` is given, and `target_modules` is %s: PEFT takes it with a list of names only", short(raw))
		}
		return nil
	}
	if err := json.Unmarshal(raw, &c.Targets); err != nil {
		return fmt.Errorf("`target_modules` is %s, must be a list of names or a pattern", short(raw))
	}
	c.anything = false
	c.targets = func(module string) bool {
		return slices.ContainsFunc(c.Targets, func(end string) bool {
			return module == end || strings.HasSuffix(module, "."+end)
		})
	}
	return nil
}

// scaling is the rank of a module's adapter and the scale of B·A.
func (c *fileConfig) scaling(module string) (rank int, scale float64) {
	rank, alpha := c.Rank, c.Alpha
	for _, r := range c.rankPattern {
		if r.pattern.MatchString(module) {
			rank = int(r.value)
			break
		}
	}
	for _, r := range c.alphaPattern {
		if r.pattern.MatchString(module) {
			alpha = r.value
			break
		}
	}
	if c.rsLoRA {
		return rank, alpha / math.Sqrt(float64(rank))
	}
	return rank, alpha / float64(rank)
}

// text is adapter_config.json as PEFT writes it: the keys that all versions know,
// sorted, indented by two. A pattern replaces the list of targets.
func (c *Config) text(pattern string) []byte {
	var targets any = c.Targets
	if pattern != "" {
		targets = pattern
	}
	var base any
	if c.Base != "" {
		base = c.Base
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	none := map[string]any{}
	var modules any
	if len(c.Modules) > 0 {
		modules = c.Modules
	}
	ranks, alphas := c.RankOf, c.AlphaOf
	if ranks == nil {
		ranks = map[string]int{}
	}
	if alphas == nil {
		alphas = map[string]float64{}
	}
	keys := map[string]any{
		"alpha_pattern": alphas, "auto_mapping": nil, "base_model_name_or_path": base, "bias": "none",
		"fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true, "layer_replication": nil,
		"layers_pattern": nil, "layers_to_transform": nil, "loftq_config": none, "lora_alpha": c.Alpha,
		"lora_dropout": c.Dropout, "megatron_config": nil, "megatron_core": "megatron.core", "modules_to_save": modules,
		"peft_type": "LORA", "r": c.Rank, "rank_pattern": ranks, "revision": nil, "target_modules": targets,
		"task_type": "CAUSAL_LM", "use_dora": c.DoRA, "use_rslora": c.RSLoRA,
	}
	if c.Tied {
		keys["ensure_weight_tying"] = true
	}
	if err := enc.Encode(keys); err != nil {
		panic("BUG: peft: a config that is no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// short abbreviates JSON for a message.
func short(raw json.RawMessage) string {
	if len(raw) > 60 {
		return string(raw[:57]) + "…"
	}
	return string(raw)
}

// ConfigText is adapter_config.json of an adapter whose matrices are stored in
// another format than PEFT's.
func ConfigText(c Config) []byte { return c.text("") }

// Beside is adapter_config.json next to matrices that are not in PEFT's format.
type Beside struct {
	Alpha float64 // normalised so that the scale is alpha/rank
	Rank  int
	DoRA  bool
	Base  string

	path string
	c    *fileConfig
}

// Check compares the config with the adapter of a linear, by its MindFormers name.
func (b *Beside) Check(linear string, rank int) error {
	if rank != b.Rank {
		return fmt.Errorf("the adapter of %s has rank %d, %s says %d", linear, rank, b.path, b.Rank)
	}
	module, ok := naming.TranslateLinear(linear, naming.SchemeMindFormers, naming.SchemeHuggingFace)
	if why := b.c.ignores(module); ok && why != "" {
		return b.c.contradiction(module, why, b.path)
	}
	return nil
}

// contradiction is the error for a module that a config leaves out and a file has.
func (c *fileConfig) contradiction(module, why, config string) error {
	by := "PEFT"
	if c.mlx {
		by = "MLX-LM"
	}
	return fmt.Errorf("%s has an adapter, but %s in %s, so %s would ignore it\n  = help: correct the config, if the matrices count; or take the adapter that belongs to it", module, why, config, by)
}

// Uniform reads adapter_config.json in a directory for an adapter whose matrices
// are not in PEFT's format; nil if there is none. All linears must have the same
// rank and alpha.
func Uniform(dir string) (*Beside, error) {
	path := filepath.Join(dir, configName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(text)
	if err == nil && len(c.rankPattern)+len(c.alphaPattern) > 0 {
		err = errors.New("`rank_pattern` and `alpha_pattern` name modules of PEFT, but these matrices have other names")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	_, scale := c.scaling("")
	return &Beside{scale * float64(c.Rank), c.Rank, c.DoRA, c.Base, path, c}, nil
}
