package config

import (
	"fmt"
	"log/slog"
)

// hidden is what every way of printing a Secret that is set shows.
const hidden = "[hidden]"

// Secret is a value that must never be printed: fmt, slog, JSON and YAML show "[hidden]", or ""
// when it is empty. The text lies behind a pointer, so that even fmt's walk over the unexported
// fields of a foreign struct, which calls no methods, meets an address and not the secret.
type Secret struct{ text *string }

// NewSecret wraps s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{text: &s}
}

// Reveal returns the secret itself, for the one place that hands it to its peer.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.text != nil }

// IsZero lets omitempty leave out what is not set.
func (s Secret) IsZero() bool { return s.text == nil }

// String hides the secret.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return "config.Secret(" + s.String() + ")" }

// Format hides the secret from every verb, %x and %d too.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoding/json and its like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML hides the secret from yaml.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// UnmarshalText takes the secret from the environment.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = NewSecret(string(b))
	return nil
}
