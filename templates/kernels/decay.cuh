// The decays of the scan family.

enum class Decay { none, scalar, vector };
