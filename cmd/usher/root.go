package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"usher/cmd/usher/internal/config"
)

// streams are where a command reads and writes: data to out, logs and progress to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// app is what every command shares during one run of the binary.
type app struct {
	streams
	environ    []string
	configFile string
	cfg        *config.Config
	log        *slog.Logger
	begun      bool // flags, arguments and configuration were good: from here on errors are the work's
}

// The groups of `usher --help`, in their order.
const (
	groupLook  = "look"
	groupRun   = "run"
	groupBring = "bring"
	groupModel = "model"
	groupTrust = "trust"
)

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, s streams, environ []string) int {
	a := &app{streams: s, environ: environ, log: slog.New(slog.NewTextHandler(s.err, nil))}
	root := a.rootCommand()
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(ctx)
	code := exitCode(ctx, err, a.begun)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(s.err, "usher: %v\n", err)
		var settings *config.Error
		if code == exitUsage && !errors.As(err, &settings) {
			fmt.Fprintf(s.err, "See `%s --help`.\n", ran.CommandPath())
		}
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "usher",
		Short: "Chat events in; response times, routing decisions and trusted rows out",
		Long: `usher reads chat events from Kafka, follows every conversation, classifies what customers
write, decides where it goes, and puts each fact into ClickHouse exactly once.

Data goes to standard output, logs and progress to standard error.
Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration, 3 a check did not hold.`,
		Example: `  usher demo                        # everything embedded, with generated chats
  usher analyze events.jsonl        # response times of a file, no server at all
  usher sql                         # what there is to ask`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          a.do(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
		Annotations:   noConfig,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&a.configFile, "config", "",
		"configuration `file` (default usher.yaml, if there; USHER_CONFIG)")
	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupRun, Title: "Run:"},
		&cobra.Group{ID: groupBring, Title: "Bring data:"},
		&cobra.Group{ID: groupModel, Title: "Model:"},
		&cobra.Group{ID: groupTrust, Title: "Trust:"},
	)
	root.SetHelpCommandGroupID(groupLook)
	root.AddCommand(a.commands()...)
	return root
}

// commands lists the subcommands in the order of their groups.
func (a *app) commands() []*cobra.Command {
	in := func(group string, commands ...*cobra.Command) []*cobra.Command {
		for _, c := range commands {
			c.GroupID = group
		}
		return commands
	}
	var all []*cobra.Command
	all = append(all, in(groupLook, a.demoCommand(), a.analyzeCommand(), a.sqlCommand(),
		a.dashboardsCommand(), a.tailCommand(), a.statusCommand(), a.versionCommand())...)
	all = append(all, in(groupRun, a.runCommand(), a.topicsCommand(), a.schemaCommand(),
		a.configCommand())...)
	all = append(all, in(groupBring, a.importCommand(), a.produceCommand())...)
	all = append(all, in(groupModel, a.trainCommand(), a.evalCommand(), a.classifyCommand(),
		a.acceptCommand(), a.calibrateCommand(), a.curveCommand(),
		a.explainCommand(), a.modelCommand(), a.labelsCommand())...)
	all = append(all, in(groupTrust, a.auditCommand(), a.checkCommand(), a.targetsCommand(), a.deadLettersCommand())...)
	return append(all, a.engineCommand(), a.brokerCommand())
}

// noConfig marks a command that works whatever the configuration says.
var noConfig = map[string]string{"config": "none"}

// do wraps a command's work: the configuration is read first, unless the command needs none, and
// what fails before the work begins is wrong usage.
func (a *app) do(work func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if cmd.Annotations["config"] != "none" {
			if err := a.loadConfig(); err != nil {
				return err
			}
		}
		a.begun = true
		return work(cmd, args)
	}
}

func (a *app) loadConfig() error {
	cfg, err := a.readConfig()
	if err != nil {
		return err
	}
	a.cfg = cfg
	a.log = newLogger(a.err, cfg.Log)
	return nil
}

func (a *app) readConfig() (*config.Config, error) {
	file := a.configFile
	for _, pair := range a.environ {
		if value, ok := strings.CutPrefix(pair, config.FileVariable+"="); ok && file == "" {
			file = value
		}
	}
	return config.Load(config.Options{File: file, Environ: a.environ})
}

func newLogger(w io.Writer, l config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // validated
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// noArgs is cobra.NoArgs with a sentence that helps.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// someArgs asks for at least one argument, called what.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s needs %s", cmd.CommandPath(), what)
		}
		return nil
	}
}
