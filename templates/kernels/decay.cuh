// The decays of the scan family: none, one a token, one of every channel of the keys or of the
// values.

enum class Decay { none, scalar, keys, values };
