package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A command line stands in a block of shell, or in quotes inside a sentence.
var (
	commandInBlock = regexp.MustCompile("(?m)(?:^|&& |\\| )(?:bin/)?usher ([a-z]+)([^|\n&]*)")
	commandInText  = regexp.MustCompile("`(?:bin/)?usher ([a-z]+)([^`]*)`")
)

var (
	flagName = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
	mdLink   = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	target   = regexp.MustCompile("`?\\bmake ([a-z][a-z -]*)")
)

// pages returns the texts for users by their path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := moduleRoot(t)
	found := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		paths = append(paths, filepath.Join(root, name))
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(text)
	}
	if len(found) < 8 {
		t.Fatalf("found %d pages, the search is broken", len(found))
	}
	return found
}

// commandsOf returns the commands of a page: the subcommand, and what follows it up to a remark.
func commandsOf(text string) [][2]string {
	var found [][2]string
	for i, block := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "```") {
		pattern := commandInText
		if i%2 == 1 {
			pattern = commandInBlock
		}
		if i%2 == 1 && !strings.HasPrefix(block, "sh\n") {
			continue
		}
		for _, match := range pattern.FindAllStringSubmatch(block, -1) {
			rest, _, _ := strings.Cut(match[2], "#")
			found = append(found, [2]string{match[1], rest})
		}
	}
	return found
}

// Every command that a page tells people to type is one of the binary's, with these flags.
func TestDocumentedCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	binary := filepath.Join(t.TempDir(), "usher")
	build := exec.Command("go", "build", "-o", binary, "./cmd/usher")
	build.Dir = moduleRoot(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build usher: %v\n%s", err, out)
	}
	help := map[string]string{}
	seen := 0
	for page, text := range pages(t) {
		for _, typed := range commandsOf(text) {
			command := typed[0]
			if _, asked := help[command]; !asked {
				out, err := exec.Command(binary, command, "--help").CombinedOutput()
				if err != nil || !strings.Contains(string(out), "usher "+command) {
					out = nil
				}
				help[command] = string(out)
			}
			if help[command] == "" {
				t.Errorf("%s: there is no `usher %s`", filepath.Base(page), command)
				continue
			}
			for _, flag := range flagName.FindAllStringSubmatch(typed[1], -1) {
				if !regexp.MustCompile(`--` + flag[1] + `\b`).MatchString(help[command]) {
					t.Errorf("%s: usher %s has no flag --%s", filepath.Base(page), command, flag[1])
				}
			}
			seen++
		}
	}
	if seen < 15 {
		t.Errorf("found %d commands in the pages, the search is broken", seen)
	}
}

// Every link between pages leads somewhere, and every make target named is there.
func TestDocumentedPlaces(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(moduleRoot(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for page, text := range pages(t) {
		for _, link := range mdLink.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", filepath.Base(page), link[1])
			}
		}
		for _, block := range strings.Split(text, "```") {
			if !strings.HasPrefix(block, "sh\n") {
				continue
			}
			for _, match := range target.FindAllStringSubmatch(block, -1) {
				line, _, _ := strings.Cut(match[1], "  ")
				for _, name := range strings.Fields(line) {
					if !strings.Contains(string(makefile), "\n"+name+":") {
						t.Errorf("%s: make has no target %s", filepath.Base(page), name)
					}
				}
			}
		}
	}
}
