package rt

import (
	"os"
	"strings"

	"lorac/runtime/sys/human"
)

// CommandEnv is the variable by which lorac finetune, which becomes the trainer,
// tells it the command that resumes the run.
const CommandEnv = "LORAC_RESUME_COMMAND"

// ResumeCommand is the command line, for a shell, that resumes what the given words
// started.
func ResumeCommand(words []string) string {
	var out []string
	for i := 0; i < len(words); i++ {
		name, _, has := strings.Cut(strings.TrimLeft(words[i], "-"), "=")
		if strings.HasPrefix(words[i], "-") && name == "resume_training" {
			if !has {
				i++
			}
			continue
		}
		out = append(out, human.ShellWord(words[i]))
	}
	return strings.Join(append(out, "--resume_training", "True"), " ")
}

// resumeCommand is that of this process.
func resumeCommand() string {
	if text := os.Getenv(CommandEnv); text != "" {
		return text
	}
	return ResumeCommand(os.Args)
}
