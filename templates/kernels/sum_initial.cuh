// The states of a scan in both directions without decay: of each there is one in reverse, and both
// begin as the call says.

/// From the sum over all tokens, whose elements `each` gives to a function of key channel, column
/// and number, to what every token reads: with both initial states. `stores`: and to both final
/// ones, the state's, number I, and that of its counterpart in reverse.
template <class V, int I, class Each>
__device__ __forceinline__ void addInitial(const Args& args, const Sequence& sequence, int head,
                                           bool stores, Each each) {
  constexpr int kOther = I + V::kReverse;
  const auto before = V::template initialState<I>(args, sequence, head);
  const auto behind = V::template initialState<kOther>(args, sequence, head);
  const auto last = V::template finalState<I>(args, sequence, head);
  const auto first = V::template finalState<kOther>(args, sequence, head);
  each([&](int d, int v, float& s) {
    const float a = before ? toFloat(before(d, v)) : 0.0f;
    const float b = behind ? toFloat(behind(d, v)) : 0.0f;
    if (stores && last)
      last(d, v) = fromFloat<typename V::template State<I>>(s + a);
    if (stores && first)
      first(d, v) = fromFloat<typename V::template State<kOther>>(s + b);
    s += a + b;
  });
}
