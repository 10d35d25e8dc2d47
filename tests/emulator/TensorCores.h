// Matrices of a warp and of a warpgroup (PTX ISA 9.7.14 and 9.7.15): which thread holds what.
#pragma once

#include "tests/emulator/Emulator.h"
#include "tests/emulator/Numbers.h"

#include <cstring>

namespace emulator {

/// What the host tells of a tensor of four axes, in the 128 bytes of a CUtensorMap.
struct TensorMap {
  char* data;
  std::uint64_t sizes[4], strides[3];  ///< Elements; bytes.
  std::uint32_t box[4];
};
static_assert(sizeof(TensorMap) <= 128);

inline std::uint16_t half(std::uint64_t word, int i) { return std::uint16_t(word >> i * 16); }

/// What a thread of a warpgroup brings to m64n64k16.
struct Wgmma {
  float* accumulator[32];
  std::uint32_t fragment[4];
  std::uint64_t a = 0, b = 0;
  bool inRegisters, transposed, accumulate, columns;
};

/// Element (row, column) of a tile of panels with 128-byte swizzle: `across` counts columns.
template <class Element> float ofPanel(std::uint64_t descriptor, int row, int across) {
  const auto start = std::uint32_t(descriptor & 0x3fff) << 4;
  const auto group = std::uint32_t(descriptor >> 32 & 0x3fff) << 4;
  std::uint32_t byte = start + std::uint32_t(row / 8) * group + std::uint32_t(row % 8) * 128 +
                       std::uint32_t(across) * 2;
  // The swizzle is of addresses, whose period is 1024 bytes.
  byte ^= (byte >> 7 & 7) << 4;
  std::uint16_t bits;
  std::memcpy(&bits, sharedMemory() + byte, 2);
  return Element::decode(bits);
}

template <class Element> void multiplyAll(Offer* const* offers, int) {
  constexpr int M = 64, N = 64, K = 16;
  auto of = [&](int thread) -> Wgmma& {
    return *reinterpret_cast<Wgmma*>(offers[thread]->words[0]);
  };
  const Wgmma& first = of(0);
  float a[M][K], b[K][N];
  for (int m = 0; m < M; ++m)
    for (int k = 0; k < K; ++k)
      if (first.inRegisters) {
        const int lane = m % 8 * 4 + k % 8 / 2, reg = m % 16 / 8 + k / 8 * 2;
        a[m][k] = Element::decode(half(of(m / 16 * 32 + lane).fragment[reg], k % 2));
      } else {
        a[m][k] =
            first.transposed ? ofPanel<Element>(first.a, k, m) : ofPanel<Element>(first.a, m, k);
      }
  for (int k = 0; k < K; ++k)
    for (int n = 0; n < N; ++n)
      b[k][n] = first.columns ? ofPanel<Element>(first.b, k, n) : ofPanel<Element>(first.b, n, k);
  for (int thread = 0; thread < 128; ++thread)
    for (int i = 0; i < 32; ++i) {
      const int m = thread / 32 * 16 + thread % 32 / 4 + i % 4 / 2 * 8;
      const int n = i / 4 * 8 + thread % 4 * 2 + i % 2;
      float sum = 0;
      for (int k = 0; k < K; ++k)
        sum += a[m][k] * b[k][n];
      float& c = *of(thread).accumulator[i];
      c = first.accumulate ? c + sum : sum;
    }
}

template <class Element> void multiply(Wgmma& own) {
  Offer offer;
  offer.words[0] = reinterpret_cast<std::uint64_t>(&own);
  meetWarpgroup(offer, multiplyAll<Element>);
}

/// mma.sync: c[4], a[4], b[2] at words 0, 4 and 8. K is 16, or 8 of tf32.
template <class Element, int K> void multiplyWarp(Offer* const* offers, int) {
  auto element = [&](int lane, int word, int k) {
    if constexpr (K == 8)
      return std::bit_cast<float>(std::uint32_t(offers[lane]->words[word]) & 0xffffe000);
    else
      return Element::decode(half(offers[lane]->words[word], k % 2));
  };
  constexpr int half = K / 2, each = K == 8 ? 1 : 2;
  float c[32][4];
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      const int m = lane / 4 + i / 2 * 8, n = lane % 4 * 2 + i % 2;
      float sum = 0;
      for (int k = 0; k < K; ++k) {
        const int part = k % half / each;
        sum += element(m % 8 * 4 + part, 4 + m / 8 + k / half * 2, k) *
               element(n * 4 + part, 8 + k / half, k);
      }
      c[lane][i] = std::bit_cast<float>(std::uint32_t(offers[lane]->words[i])) + sum;
    }
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i)
      offers[lane]->words[i] = std::bit_cast<std::uint32_t>(c[lane][i]);
}

template <class Element, int K>
void mma(float& c0, float& c1, float& c2, float& c3, std::uint32_t a0, std::uint32_t a1,
         std::uint32_t a2, std::uint32_t a3, std::uint32_t b0, std::uint32_t b1) {
  float* const c[] = {&c0, &c1, &c2, &c3};
  Offer offer;
  for (int i = 0; i < 4; ++i)
    offer.words[i] = std::bit_cast<std::uint32_t>(*c[i]);
  const std::uint32_t rest[] = {a0, a1, a2, a3, b0, b1};
  for (int i = 0; i < 6; ++i)
    offer.words[4 + i] = rest[i];
  meetWarp(offer, multiplyWarp<Element, K>);
  for (int i = 0; i < 4; ++i)
    *c[i] = std::bit_cast<float>(std::uint32_t(offer.words[i]));
}

/// Where element `e` of a lane's register lies in its 8 x 8 matrix.
inline int placeOf(int lane, int e, bool transposed) {
  const int row = lane / 4, column = lane % 4 * 2 + e;
  return transposed ? column * 8 + row : row * 8 + column;
}

/// ldmatrix and stmatrix x4: the address of a row at word 0, registers at words 1 to 4.
template <bool STORE, bool TRANSPOSED> void moveMatrices(Offer* const* offers, int) {
  for (int matrix = 0; matrix < 4; ++matrix)
    for (int lane = 0; lane < 32; ++lane)
      for (int e = 0; e < 2; ++e) {
        const int place = placeOf(lane, e, TRANSPOSED);
        char* row = sharedMemory() + offers[matrix * 8 + place / 8]->words[0];
        std::uint64_t& word = offers[lane]->words[1 + matrix];
        std::uint16_t bits = half(word, e);
        if (STORE) {
          std::memcpy(row + place % 8 * 2, &bits, 2);
        } else {
          std::memcpy(&bits, row + place % 8 * 2, 2);
          word = (word & ~(std::uint64_t(0xffff) << e * 16)) | std::uint64_t(bits) << e * 16;
        }
      }
}

template <bool TRANSPOSED>
void loadMatrices(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c, std::uint32_t& d,
                  std::uint32_t row) {
  Offer offer;
  offer.words[0] = row;
  meetWarp(offer, moveMatrices<false, TRANSPOSED>);
  a = std::uint32_t(offer.words[1]), b = std::uint32_t(offer.words[2]);
  c = std::uint32_t(offer.words[3]), d = std::uint32_t(offer.words[4]);
}

template <bool TRANSPOSED>
void storeMatrices(std::uint32_t row, std::uint32_t a, std::uint32_t b, std::uint32_t c,
                   std::uint32_t d) {
  Offer offer;
  offer.words[0] = row;
  offer.words[1] = a, offer.words[2] = b, offer.words[3] = c, offer.words[4] = d;
  meetWarp(offer, moveMatrices<true, TRANSPOSED>);
}

inline void transposeAll(Offer* const* offers, int) {
  std::uint16_t matrix[64];
  for (int lane = 0; lane < 32; ++lane)
    for (int e = 0; e < 2; ++e)
      matrix[placeOf(lane, e, false)] = half(offers[lane]->words[0], e);
  for (int lane = 0; lane < 32; ++lane)
    offers[lane]->words[0] =
        matrix[placeOf(lane, 0, true)] | std::uint32_t(matrix[placeOf(lane, 1, true)]) << 16;
}

}  // namespace emulator

namespace ptx {

template <class... T> void mma_sync_aligned_m16n8k16_row_col_f32_bf16_bf16_f32(T&&... operands) {
  emulator::mma<emulator::Bf16, 16>(operands...);
}
template <class... T> void mma_sync_aligned_m16n8k16_row_col_f32_f16_f16_f32(T&&... operands) {
  emulator::mma<emulator::F16, 16>(operands...);
}
template <class... T> void mma_sync_aligned_m16n8k8_row_col_f32_tf32_tf32_f32(T&&... operands) {
  emulator::mma<void, 8>(operands...);
}
template <class... T> void ldmatrix_sync_aligned_m8n8_x4_shared_b16(T&&... operands) {
  emulator::loadMatrices<false>(operands...);
}
template <class... T> void ldmatrix_sync_aligned_m8n8_x4_trans_shared_b16(T&&... operands) {
  emulator::loadMatrices<true>(operands...);
}
template <class... T> void stmatrix_sync_aligned_m8n8_x4_shared_b16(T&&... operands) {
  emulator::storeMatrices<false>(operands...);
}
template <class... T> void stmatrix_sync_aligned_m8n8_x4_trans_shared_b16(T&&... operands) {
  emulator::storeMatrices<true>(operands...);
}
inline void movmatrix_sync_aligned_m8n8_trans_b16(std::uint32_t& y, std::uint32_t x) {
  emulator::Offer offer;
  offer.words[0] = x;
  emulator::meetWarp(offer, emulator::transposeAll);
  y = std::uint32_t(offer.words[0]);
}

}  // namespace ptx
