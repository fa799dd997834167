// What the layers of a net read and write, and what a layer is.
#pragma once

#include <cstdlib>
#include <new>

#include "layers.h"

namespace ws {

template <class T> struct Array {  // aligned, zeroed, with space to read after the end
  T* p = nullptr;
  size_t count = 0;
  void make(size_t size) {
    const size_t bytes = ((size + 1024 / sizeof(T)) * sizeof(T) + 63) / 64 * 64;
    p = static_cast<T*>(std::aligned_alloc(64, bytes));
    if (!p) throw std::bad_alloc();
    std::memset(static_cast<void*>(p), 0, bytes);
    count = size;
  }
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  Array(Array&& other) noexcept : p(other.p), count(other.count) { other.p = nullptr; }
  Array& operator=(Array&& other) noexcept {
    std::swap(p, other.p), std::swap(count, other.count);
    return *this;
  }
  ~Array() { std::free(p); }
};

// The output of a layer for `n` samples: channels of side x side pixels, samples innermost, behind
// `halo` zeros on each side. Its gradient `d` has no halo. A dense layer's units are channels of
// one pixel, and the values of a map without halo are a dense layer's inputs as they lie.
template <class T> struct Value {
  int channels, side, halo = 0, uses = 0, n = 0;
  bool wanted = true;  // whether anybody needs its gradient; not so for the images
  Array<T> x;
  T* d = nullptr;
  const T* samples = nullptr;  // of the images: the same values, one sample after the other

  ptrdiff_t line() const { return (ptrdiff_t)(side + 2 * halo) * n; }
  ptrdiff_t channel() const { return line() * (side + 2 * halo); }
  ptrdiff_t plain() const { return (ptrdiff_t)side * side * n; }  // a channel without halo
  size_t count() const { return (size_t)channels * plain(); }
  T* inner() const { return x.p + halo * (line() + n); }

  void make(int samples) {
    n = samples;
    x.make((size_t)channels * channel());
    if (!wanted) return;
    own_.make(count());
    d = own_.p;
    if (uses > 1) more_.make(count());
  }

  // Lets the gradient be that of another value, which only this one's maker changes from then on.
  bool share(Value& other) {
    if (uses != 1 || !wanted) return false;
    d = other.d, own_ = Array<T>();
    return true;
  }

  // A layer writes its gradient of this value to `begin()` and then calls `end()`: gradients of
  // several readers are added up.
  void forget() { given_ = false; }
  T* begin() { return given_ ? more_.p : d; }
  void end() {
    if (given_)
      along<T>((ptrdiff_t)count(), [&](ptrdiff_t j, int lanes, bool whole) {
        put(d + j, fetch(d + j, lanes, whole) + fetch(more_.p + j, lanes, whole), lanes, whole);
      });
    given_ = true;
  }

 private:
  Array<T> own_, more_;
  bool given_ = false;
};

template <class T> struct Net {  // one net of the call
  const T* weights;
  T* gradient;
  std::vector<T*> stats;
  std::vector<const T*> masks;
  int activation;
  T smoothing;
};

template <class T> struct Scratch {  // memory that all layers share
  Array<T> packed, sums;
};

template <class T> class Layer {
 public:
  virtual ~Layer() = default;
  virtual void forward(Net<T>& net, bool training) = 0;
  virtual void backward(Net<T>& net) = 0;
};

// Where a layer's tensors lie: trainable values from `at`, running statistics from `stat`, the
// factors of dropout at `mask`.
struct Place {
  ptrdiff_t at;
  int stat, mask;
};

// The activation of the net, or none.
template <class F> inline void with_function(bool any, int number, F f) {
  if (any) with_activation(number, f);
  else f(Identity{});
}

}  // namespace ws
