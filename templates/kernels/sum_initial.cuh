// The states of a scan in both directions without decay: of each there is one in reverse, and both
// begin as the call says.

/// Makes of an element of the sum over all tokens what every token reads: that with both initial
/// states of number I, and its counterpart in reverse. `stores`: writes both final states, too.
template <class V, int I> struct SumStates {
  static constexpr int kOther = I + V::kOpposite;
  template <int J> using View = StateView<typename V::template State<J>>;

  const View<I> before, last;
  const View<kOther> behind, first;
  const bool stores;

  __device__ __forceinline__ SumStates(const Args& args, const Sequence& sequence, int head,
                                       bool stores)
      : before(V::template initialState<I>(args, sequence, head)),
        last(V::template finalState<I>(args, sequence, head)),
        behind(V::template initialState<kOther>(args, sequence, head)),
        first(V::template finalState<kOther>(args, sequence, head)), stores(stores) {}

  __device__ __forceinline__ void operator()(int d, int v, float& s) const {
    const float a = before ? toFloat(before(d, v)) : 0.0f;
    const float b = behind ? toFloat(behind(d, v)) : 0.0f;
    if (stores && last)
      last(d, v) = fromFloat<typename V::template State<I>>(s + a);
    if (stores && first)
      first(d, v) = fromFloat<typename V::template State<kOther>>(s + b);
    s += a + b;
  }
};
