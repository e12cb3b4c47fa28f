package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"usher/cmd/usher/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	var variables bool
	c := &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration, secrets hidden",
		Long: `Print the configuration that results from the defaults, then usher.yaml (or --config), then
the environment. Every key is also a variable: USHER_ and its path in capitals, dots as underscores
(kafka.brokers is USHER_KAFKA_BROKERS). Lists may be separated by commas; lists, mappings and whole
sections may be written as YAML. Secrets come from a file (password_file, key_file, token_file) or
from the environment (USHER_CLICKHOUSE_PASSWORD, USHER_KAFKA_SASL_PASSWORD, USHER_PRIVACY_KEY,
USHER_ADMIN_TOKEN), never from usher.yaml.`,
		Example: `  usher config
  USHER_COMMIT_INTERVAL=250ms usher config --config usher.yaml
  usher config --variables`,
		Args: noArgs,
		RunE: a.do(func(*cobra.Command, []string) error {
			if variables {
				for _, v := range config.Variables() {
					fmt.Fprintf(a.out, "%-45s %s\n", v[0], v[1])
				}
				return nil
			}
			text, err := a.cfg.YAML()
			if err != nil {
				return err
			}
			_, err = a.out.Write(text)
			return err
		}),
	}
	c.Flags().BoolVar(&variables, "variables", false, "list every variable and its key instead")
	return c
}
